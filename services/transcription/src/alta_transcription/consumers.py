"""Which queue and which broadcast lead to which use case."""

from datetime import timedelta
from typing import Any

from alta_common.contracts.projects import VoiceTranscriptionCancelled, VoiceTranscriptionRequested
from alta_common.engines.rules import DELIVERY_GRACE
from alta_common.messaging.consumers import Consumer, Handler
from alta_common.messaging.topology import TRANSCRIPTION_QUEUE
from alta_transcription.application.transcription import TranscriptionService


def consumers(transcription: TranscriptionService, *, at_once: int, time_slice: timedelta) -> list[Consumer]:
    """Return what this process consumes: `at_once` recordings at a time, each for a slice of time."""
    handler = Handler(VoiceTranscriptionRequested, transcription.transcribe, given_up=transcription.give_up)
    return [Consumer(TRANSCRIPTION_QUEUE, [handler], prefetch=at_once, time_limit=time_slice + DELIVERY_GRACE)]


def broadcasts(transcription: TranscriptionService) -> list[Handler[Any]]:
    """Return what every process of this service hears."""
    return [Handler(VoiceTranscriptionCancelled, transcription.cancel)]
