"""Which queue leads to which use case."""

from datetime import timedelta

from alta_common.contracts.projects import VoiceTranscriptionRequested
from alta_common.messaging.consumers import Consumer, Handler
from alta_common.messaging.topology import TRANSCRIPTION_QUEUE
from alta_transcription.application.transcription import TranscriptionService

_GRACE = timedelta(minutes=2)
"""For fetching and storing, and between a job's own limit, which tells the owner, and this, which only tries again."""


def consumers(transcription: TranscriptionService, *, at_once: int, job_limit: timedelta) -> list[Consumer]:
    """Return what this process consumes: `at_once` recordings at a time."""
    handler = Handler(VoiceTranscriptionRequested, transcription.transcribe, given_up=transcription.give_up)
    return [Consumer(TRANSCRIPTION_QUEUE, [handler], prefetch=at_once, time_limit=job_limit + _GRACE)]
