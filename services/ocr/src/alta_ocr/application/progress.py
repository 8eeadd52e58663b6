"""Telling how far a document has come, now and then."""

import asyncio
import time
from typing import Protocol

import structlog

from alta_common.contracts.event import Event
from alta_common.contracts.ocr import DocumentOcrProgressed
from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.ids import derived_id

log = structlog.get_logger()

_LAST_WORD_SECONDS = 5.0


class Publisher(Protocol):
    """Publishes events."""

    async def publish(self, event: Event) -> None:
        """Return when the broker holds `event`. Raises `UnavailableError` when that is not certain."""
        ...


class ProgressReporter:
    """Publishes a document's progress: its beginning at once, then a step every `every_seconds` at most.

    Progress is a sign of life. It never holds up the work, what cannot be published is left out, and that all pages
    are done is for the answer to say.
    """

    def __init__(self, publisher: Publisher, request: DocumentOcrRequested, every_seconds: float) -> None:
        self._publisher = publisher
        self._request = request
        self._every = every_seconds
        self._due = 0.0
        self._publishing: asyncio.Task[None] | None = None

    def __call__(self, done: int, total: int) -> None:
        """Note that `done` of `total` pages are read. Called on the event loop."""
        now = time.monotonic()
        if now < self._due or done == total or (self._publishing is not None and not self._publishing.done()):
            return
        self._due = now + self._every
        self._publishing = asyncio.create_task(self._publish(done, total))

    async def close(self) -> None:
        """Wait a moment for what is on its way, so that nothing is heard of progress after the end."""
        if self._publishing is not None:
            await asyncio.wait([self._publishing], timeout=_LAST_WORD_SECONDS)
            self._publishing.cancel()

    async def _publish(self, done: int, total: int) -> None:
        event = DocumentOcrProgressed(
            event_id=derived_id(self._request.event_id, f"{DocumentOcrProgressed.ROUTING_KEY}:{done}"),
            document_id=self._request.document_id,
            project_id=self._request.project_id,
            request_event_id=self._request.event_id,
            attempt=self._request.attempt,
            done=done,
            total=total,
            unit="page",
        )
        try:
            await self._publisher.publish(event)
        except Exception as error:  # noqa: BLE001  # whatever keeps it from going out, the work goes on
            log.warning("progress.not_published", document_id=event.document_id, error=repr(error))
