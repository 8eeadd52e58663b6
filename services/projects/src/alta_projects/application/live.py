"""Watching a project: every change of its items, as it happens, from where one left off."""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from alta_common.contracts.principal import Principal
from alta_common.db.engine import Sessions
from alta_common.errors import AltaError, UnavailableError
from alta_projects.application.access import enter
from alta_projects.application.metrics import live_streams
from alta_projects.models.access import Right
from alta_projects.models.live_event import LiveEvent
from alta_projects.repositories.changes import ChangeFeed
from alta_projects.repositories.live import LiveEventRepository

log = structlog.get_logger()

_BATCH = 200
_COME_AGAIN_SECONDS = 10


class FollowingEndedError(AltaError):
    """There will be no more news this way; the client may begin again where it is."""


class TooSlowError(FollowingEndedError):
    """More has happened than was taken."""

    code = "too_slow"


class ShuttingDownError(FollowingEndedError):
    """The process is about to stop."""

    code = "shutting_down"


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """How many may follow, how much may wait for one of them, and how often news are looked for without being told."""

    followers: int
    waiting_events: int
    look_again: timedelta


class Following:
    """One who follows a project. `position` is the number of the last event that was taken.

    `is_reset`: what the client wanted to go on from is not kept any more, and it has to read the project again.
    """

    def __init__(self, caller: Principal, project_id: UUID, position: int, *, is_reset: bool) -> None:
        self.caller = caller
        self.project_id = project_id
        self.position = position
        self.is_reset = is_reset
        self.is_caught_up = False
        self._waiting: deque[LiveEvent] = deque()
        self._news = asyncio.Event()
        self._end: FollowingEndedError | None = None

    def offer(self, events: Sequence[LiveEvent], most_waiting: int) -> None:
        """Hand over what has happened. Who takes too little is let go: the store knows where they can go on."""
        self._waiting += (event for event in events if event.number > self.position)
        if len(self._waiting) > most_waiting:
            self.end(TooSlowError("more has happened than was taken"))
        elif self._waiting:
            self._news.set()

    def end(self, reason: FollowingEndedError) -> None:
        """Have the follower told that this is the end."""
        self._end = self._end or reason
        self._news.set()

    def require_going_on(self) -> None:
        """Raise `FollowingEndedError` when it is the end."""
        if self._end is not None:
            raise self._end

    async def take(self, patience: timedelta) -> Sequence[LiveEvent]:
        """Return what has been offered; nothing when `patience` is over. Raises `FollowingEndedError`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience.total_seconds()):
                await self._news.wait()
        self.require_going_on()
        self._news.clear()
        news = list(self._waiting)
        self._waiting.clear()
        return news


class LiveFeed:
    """Spreads the events of projects to those who follow them in this process; each project is read once for all."""

    def __init__(self, sessions: Sessions, feed: ChangeFeed, limits: LiveLimits) -> None:
        self._sessions = sessions
        self._feed = feed
        self._limits = limits
        self._followings: set[Following] = set()
        self._channels: dict[UUID, _Channel] = {}

    async def follow(self, caller: Principal, project_id: UUID, after: int | None) -> Following:
        """Begin to follow a project, from behind event `after`, or from now on. `leave` it in the end.

        Raises what `enter` does, and `UnavailableError` when as many follow as may.
        """
        async with self._sessions() as session:
            await enter(session, project_id, caller, Right.READ)
            events = LiveEventRepository(session)
            last = await events.last_number(project_id)
            is_known = after is None or after == last or (after < last and await events.is_kept(project_id, after + 1))
        if self._feed.is_draining or len(self._followings) >= self._limits.followers:
            raise UnavailableError("too many follow projects through this process", _COME_AGAIN_SECONDS)
        position = last if after is None or not is_known else after
        following = Following(caller, project_id, position, is_reset=not is_known)
        self._followings.add(following)
        live_streams.set(len(self._followings))
        return following

    async def next(self, following: Following, patience: timedelta) -> Sequence[LiveEvent]:
        """Return what has happened; nothing when `patience` is over. Raises `FollowingEndedError`."""
        following.require_going_on()
        news: Sequence[LiveEvent] = []
        while not following.is_caught_up and not news:
            news = await self._read_on(following.project_id, following.position)
            if not news:
                self._join(following)
        news = news or await following.take(patience)
        if news:
            following.position = news[-1].number
        return news

    async def check(self, following: Following) -> None:
        """Raise what `enter` does when the follower may not see the project any more."""
        async with self._sessions() as session:
            await enter(session, following.project_id, following.caller, Right.READ)

    def leave(self, following: Following) -> None:
        """Follow no longer."""
        self._followings.discard(following)
        live_streams.set(len(self._followings))
        channel = self._channels.get(following.project_id)
        if channel is not None:
            channel.followers.discard(following)
            if not channel.followers:
                channel.task.cancel()
                del self._channels[following.project_id]

    def release(self) -> None:
        """Let everybody go: the process is about to stop."""
        for following in self._followings:
            following.end(ShuttingDownError("the server is stopping"))

    def _join(self, following: Following) -> None:
        """Let a follower have what is read for all, unless that is ahead of them."""
        channel = self._channels.get(following.project_id)
        if channel is None:
            channel = self._channels[following.project_id] = _Channel(following.position)
            channel.task = asyncio.create_task(self._spread(following.project_id, channel), name="live-events")
        if channel.position <= following.position:
            channel.followers.add(following)
            following.is_caught_up = True

    async def _spread(self, project_id: UUID, channel: "_Channel") -> None:
        """Read what happens in a project, and hand it to its followers."""
        with self._feed.watch(project_id) as changed:
            while True:
                changed.clear()
                try:
                    while events := await self._read_on(project_id, channel.position):
                        channel.position = events[-1].number
                        for following in channel.followers:
                            following.offer(events, self._limits.waiting_events)
                except (UnavailableError, SQLAlchemyError) as error:
                    log.warning("live.not_read", project_id=str(project_id), error=repr(error))
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._limits.look_again.total_seconds()):
                        await changed.wait()

    async def _read_on(self, project_id: UUID, number: int) -> Sequence[LiveEvent]:
        async with self._sessions() as session:
            return await LiveEventRepository(session).list_after(project_id, number, limit=_BATCH)


class _Channel:
    """The followers of a project who have all seen what happened up to `position`."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.followers: set[Following] = set()
        self.task: asyncio.Task[None]
