"""Which event goes to which use case."""

from datetime import timedelta
from functools import partial
from typing import Any

from alta_common.contracts.identity import UserRegistered
from alta_common.contracts.ocr import DocumentOcrCompleted, DocumentOcrFailed, DocumentOcrProgressed
from alta_common.contracts.transcription import (
    VoiceTranscriptionCompleted,
    VoiceTranscriptionFailed,
    VoiceTranscriptionProgressed,
)
from alta_common.messaging.consumers import Consumer, Handler, Ordered
from alta_common.messaging.topology import PROJECTS_RESULTS_QUEUE
from alta_projects.application.people import PersonService
from alta_projects.application.results import ResultService
from alta_projects.models.document import Document
from alta_projects.models.voice_sample import VoiceSample

# What takes a result in are a few statements, each of which the database ends after a minute at the latest.
_TIME_LIMIT = timedelta(minutes=1)


def create_consumers(
    results: ResultService, people: PersonService, *, prefetch: int, partitions: int = 0
) -> list[Consumer]:
    """Return what this service hears; with partitions the events of one item one after the other, in their order."""
    handlers: list[Handler[Any]] = [
        Handler(DocumentOcrProgressed, partial(results.record_progress, Document)),
        Handler(DocumentOcrCompleted, partial(results.record_completion, Document)),
        Handler(DocumentOcrFailed, partial(results.record_failure, Document)),
        Handler(VoiceTranscriptionProgressed, partial(results.record_progress, VoiceSample)),
        Handler(VoiceTranscriptionCompleted, partial(results.record_completion, VoiceSample)),
        Handler(VoiceTranscriptionFailed, partial(results.record_failure, VoiceSample)),
        Handler(UserRegistered, people.take_in),
    ]
    ordered = Ordered(partitions) if partitions else None
    return [Consumer(PROJECTS_RESULTS_QUEUE, handlers, prefetch, time_limit=_TIME_LIMIT, ordered=ordered)]
