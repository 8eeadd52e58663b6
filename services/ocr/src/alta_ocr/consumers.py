"""Which queue leads to which use case."""

from datetime import timedelta

from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.messaging.consumers import Consumer, Handler
from alta_common.messaging.topology import OCR_QUEUE
from alta_ocr.application.extraction import ExtractionService

_GRACE = timedelta(minutes=1)
"""Between a job's own limit, which tells the owner, and the consumer's, which only tries again."""


def consumers(extraction: ExtractionService, *, at_once: int, job_limit: timedelta) -> list[Consumer]:
    """Return what this process consumes: `at_once` documents at a time."""
    handler = Handler(DocumentOcrRequested, extraction.extract, given_up=extraction.give_up)
    return [Consumer(OCR_QUEUE, [handler], prefetch=at_once, time_limit=job_limit + _GRACE)]
