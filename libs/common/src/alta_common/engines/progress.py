"""Telling how far the work on a request has come, now and then."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from alta_common.contracts.event import Event

log = structlog.get_logger()

_LAST_WORD_SECONDS = 5.0


class Publisher(Protocol):
    """Publishes events."""

    async def publish(self, event: Event) -> None:
        """Return when the broker holds `event`. Raises `UnavailableError` when that is not certain."""
        ...


class ProgressReporter:
    """Publishes the `event_of(done, total)` of a step: the first at once, then one every `every_seconds` at most.

    Progress is a sign of life: it only grows, never holds up the work, and what cannot be published is left out.
    """

    def __init__(self, publisher: Publisher, event_of: Callable[[int, int], Event], every_seconds: float) -> None:
        self._publisher = publisher
        self._event_of = event_of
        self._every = every_seconds
        self._due = 0.0
        self._told = (-1, -1)
        self._publishing: asyncio.Task[None] | None = None

    def __call__(self, done: float, total: float) -> None:
        """Note that `done` of `total` is behind us; a total of 0 is not known yet. Called on the event loop."""
        now = time.monotonic()
        step = (int(done), max(int(done), round(total)))
        if now < self._due or step <= self._told or (self._publishing is not None and not self._publishing.done()):
            return
        self._due = now + self._every
        self._told = step
        self._publishing = asyncio.create_task(self._publish(self._event_of(*step)))

    async def close(self) -> None:
        """Wait a moment for what is on its way, so that nothing is heard of progress after the end."""
        if self._publishing is not None:
            await asyncio.wait([self._publishing], timeout=_LAST_WORD_SECONDS)
            self._publishing.cancel()

    async def _publish(self, event: Event) -> None:
        try:
            await self._publisher.publish(event)
        except Exception as error:  # noqa: BLE001  # whatever keeps it from going out, the work goes on
            log.warning("progress.not_published", **{f"{event.AGGREGATE}_id": event.aggregate_id}, error=repr(error))
