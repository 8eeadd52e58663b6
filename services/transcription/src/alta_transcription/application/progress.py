"""Telling how far a recording has come, now and then."""

import asyncio
import time
from typing import Protocol

import structlog

from alta_common.contracts.event import Event
from alta_common.contracts.projects import VoiceTranscriptionRequested
from alta_common.contracts.transcription import VoiceTranscriptionProgressed
from alta_common.ids import derived_id

log = structlog.get_logger()


class Publisher(Protocol):
    """Publishes events."""

    async def publish(self, event: Event) -> None:
        """Return when the broker holds `event`. Raises `UnavailableError` when that is not certain."""
        ...


class ProgressReporter:
    """Publishes a recording's progress: its beginning at once, then a step every `every_seconds` at most.

    Progress is a sign of life. It never holds up the work, and what cannot be published is left out.
    """

    def __init__(self, publisher: Publisher, request: VoiceTranscriptionRequested, every_seconds: float) -> None:
        self._publisher = publisher
        self._request = request
        self._every = every_seconds
        self._due = 0.0
        self._told = (-1, -1)
        self._publishing: asyncio.Task[None] | None = None

    def __call__(self, done_seconds: float, total_seconds: float) -> None:
        """Note how much of the recording is transcribed; a total of 0 is not known yet. Called on the event loop."""
        now = time.monotonic()
        step = (int(done_seconds), max(int(done_seconds), round(total_seconds)))
        if now < self._due or step <= self._told or (self._publishing is not None and not self._publishing.done()):
            return
        self._due = now + self._every
        self._told = step
        self._publishing = asyncio.create_task(self._publish(*step))

    async def close(self) -> None:
        """Wait for what is on its way, so that nothing is heard of progress after the end."""
        if self._publishing is not None:
            await self._publishing

    async def _publish(self, done: int, total: int) -> None:
        event = VoiceTranscriptionProgressed(
            event_id=derived_id(self._request.event_id, f"{VoiceTranscriptionProgressed.ROUTING_KEY}:{done}/{total}"),
            voice_sample_id=self._request.voice_sample_id,
            project_id=self._request.project_id,
            request_event_id=self._request.event_id,
            attempt=self._request.attempt,
            done=done,
            total=total,
            unit="second",
        )
        try:
            await self._publisher.publish(event)
        except Exception as error:  # noqa: BLE001  # whatever keeps it from going out, the work goes on
            log.warning("progress.not_published", voice_sample_id=event.voice_sample_id, error=repr(error))
