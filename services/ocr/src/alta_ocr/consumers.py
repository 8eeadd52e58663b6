"""Which queue and which broadcast lead to which use case."""

from datetime import timedelta
from typing import Any

from alta_common.contracts.projects import DocumentOcrCancelled, DocumentOcrRequested
from alta_common.engines.rules import DELIVERY_GRACE
from alta_common.messaging.consumers import Consumer, Handler
from alta_common.messaging.topology import OCR_QUEUE
from alta_ocr.application.extraction import ExtractionService


def consumers(extraction: ExtractionService, *, at_once: int, time_slice: timedelta) -> list[Consumer]:
    """Return what this process consumes: `at_once` documents at a time, each for a slice of time."""
    handler = Handler(DocumentOcrRequested, extraction.extract, given_up=extraction.give_up)
    return [Consumer(OCR_QUEUE, [handler], prefetch=at_once, time_limit=time_slice + DELIVERY_GRACE)]


def broadcasts(extraction: ExtractionService) -> list[Handler[Any]]:
    """Return what every process of this service hears."""
    return [Handler(DocumentOcrCancelled, extraction.cancel)]
