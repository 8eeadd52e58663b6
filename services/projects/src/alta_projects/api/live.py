"""The route of live events: Server-Sent Events (WHATWG HTML, 9.2)."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from alta_common.errors import NotFoundError, UnauthenticatedError, UnavailableError
from alta_common.http.principal import CurrentPrincipal, TokenVerifier
from alta_projects.api.deps import App
from alta_projects.api.responses import event_responses
from alta_projects.api.schemas import DocumentOut, VoiceSampleOut
from alta_projects.application.live import Following, FollowingEndedError, LiveFeed
from alta_projects.models.document import Document
from alta_projects.models.live_event import LiveEvent
from alta_projects.models.voice_sample import VoiceSample

log = structlog.get_logger()

router = APIRouter(prefix="/v1/projects", tags=["Projects"])

_RETRY_MS = 3000
# A client that takes nothing for so long is gone, or as good as gone.
_STALLED_SECONDS = 30.0
_NUMBER = re.compile(r"[0-9]{1,18}")

LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", description="The `id` of the last event that you have; sent by browsers.")
]


@router.get("/{project_id}/events", responses=event_responses(), response_class=StreamingResponse)
async def follow_project(
    request: Request, project_id: UUID, caller: CurrentPrincipal, app: App, last_event_id: LastEventId = None
) -> StreamingResponse:
    """Follow a project: every change of status and every step of progress of its items, as Server-Sent Events.

    Names are `document.` or `voice_sample.` and `queued`, `processing`, `progress`, `completed`, `failed`, `cancelled`,
    `updated` or `deleted`; the data is the item as it was then. Events come in order, each once. With `Last-Event-ID`
    nothing is missed for 24 hours; after that comes `reset`: read the project again. `end` says why the stream ends:
    `token_expired` or `token_invalid`, `not_found` (you are no member any more), `too_slow`, `shutting_down`, or a
    code of what is away for now. A comment comes every 15 seconds.
    """
    following = await app.live.follow(caller, project_id, _number(last_event_id))
    verifier: TokenVerifier = request.app.state.token_verifier
    token = request.headers["authorization"].partition(" ")[2]
    pulse = _Pulse(app.live, following, verifier, token, app.heartbeat)
    return _EventStream(pulse)


class _Pulse:
    """One stream: what is sent, and from time to time whether it may still be."""

    def __init__(
        self, live: LiveFeed, following: Following, verifier: TokenVerifier, token: str, heartbeat: timedelta
    ) -> None:
        self._live = live
        self._following = following
        self._verifier = verifier
        self._token = token
        self._heartbeat = heartbeat

    async def pieces(self) -> AsyncIterator[str]:
        """Yield the stream until its end."""
        yield f"retry: {_RETRY_MS}\nid: {self._following.position}\n\n"
        if self._following.is_reset:
            yield _block("reset", self._following.position, '{"reason": "too_old"}')
        try:
            while True:
                async for event in self._until_next_check():
                    yield _block(event.name, event.number, _item(event))
                await self._require_permission()
                yield ": still here\n\n"
        except (FollowingEndedError, UnauthenticatedError, NotFoundError, UnavailableError) as reason:
            yield f'event: end\ndata: {{"reason": "{reason.code}"}}\n\n'

    def close(self) -> None:
        """Let go of what is followed."""
        self._live.leave(self._following)

    async def _until_next_check(self) -> AsyncIterator[LiveEvent]:
        loop = asyncio.get_running_loop()
        check_at = loop.time() + self._heartbeat.total_seconds()
        while (left := check_at - loop.time()) > 0:
            for event in await self._live.next(self._following, timedelta(seconds=left)):
                yield event

    async def _require_permission(self) -> None:
        try:
            await self._verifier.verify(self._token)
            await self._live.check(self._following)
        except UnavailableError as error:
            # Whoever came in a moment ago is let stay until it can be asked again.
            log.warning("live.not_checked", error=error.detail)


class _EventStream(StreamingResponse):
    """Sends a stream to a client that takes it, and cuts off one that does not."""

    media_type = "text/event-stream"

    def __init__(self, pulse: _Pulse) -> None:
        super().__init__(pulse.pieces(), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._pulse = pulse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._pulse.close()

    async def stream_response(self, send: Send) -> None:
        async def hurried(message: Message) -> None:
            async with asyncio.timeout(_STALLED_SECONDS):
                await send(message)

        try:
            await super().stream_response(hurried)
        except TimeoutError:
            log.info("live.stalled")


def _number(last_event_id: str | None) -> int | None:
    """Return the number that a client goes on from; one that was never given out for what is none."""
    if last_event_id is None or not last_event_id.strip():
        return None
    return int(last_event_id) if _NUMBER.fullmatch(last_event_id) else -1


def _item(event: LiveEvent) -> str:
    item = event.snapshot()
    if isinstance(item, Document):
        return DocumentOut.of(item).model_dump_json()
    assert isinstance(item, VoiceSample)
    return VoiceSampleOut.of(item).model_dump_json()


def _block(name: str, number: int, data: str) -> str:
    return f"event: {name}\nid: {number}\ndata: {data}\n\n"
