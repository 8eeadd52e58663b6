"""One session's work: events are read ahead, sent as their aggregates' turn comes, and struck out behind.

One PostgreSQL session does one thing at a time, so nothing here needs a lock: what was read before a delete is in the
lanes before the delete begins. Sending happens beside it, from the publisher's callbacks.
"""

import asyncio
import math
import time
from contextlib import suppress

import structlog

from alta_common.outbox.table import SHARDS
from alta_outbox_relay.chores import Chores
from alta_outbox_relay.event import Failure, PendingEvent
from alta_outbox_relay.lanes import Lanes
from alta_outbox_relay.low_water import LowWater
from alta_outbox_relay.policy import RelayPolicy
from alta_outbox_relay.publisher import BrokerLostError, Publisher
from alta_outbox_relay.reader import Reader
from alta_outbox_relay.session import OutboxSession, Wanted
from alta_outbox_relay.striking import Striker

log = structlog.get_logger()


class SessionLostError(Exception):
    """The database session has ended, and with it the right to publish what it owned."""


class Pipeline:
    """Relays what one session owns. It is the publisher's `Sink`, and hears nothing more once it is closed."""

    def __init__(self, session: OutboxSession, publisher: Publisher, policy: RelayPolicy) -> None:
        self._low_water = low_water = LowWater(session)
        self._session = session
        self._publisher = publisher
        self._policy = policy
        self._lanes = Lanes()
        self._reader = Reader(session, self._lanes, low_water, policy.poll_seconds)
        self._striker = Striker(session, self._lanes, policy, self._reader.released)
        self._chores = Chores(session, self._lanes, self._reader, low_water, policy)
        self._stirred = asyncio.Event()
        self._stopping = False
        self._closed = False
        self._feeding = False

    async def join(self) -> None:
        """Take part in sharing, and see whether the tables are there."""
        await self._session.listen(self._hear)
        await self._chores.join()
        # What is settled is not read again: after a takeover it may be much that is gone and not vacuumed away.
        await self._low_water.observe()
        # So that a missing migration or grant shows before any event does.
        await self._session.fetch([Wanted(0, 0, 1)])

    async def run(self) -> None:
        """Relay until `stop`, and then until nothing is on its way. Raises `SessionLostError`."""
        try:
            while not self._stopping or self._lanes.at_risk_total:
                if self._session.lost.is_set():
                    raise SessionLostError("the session ended")
                if not await self._turn():
                    await self._wait()
        finally:
            self._closed = True

    def stop(self) -> None:
        """Send nothing more; `run` returns when what was sent is confirmed and struck out."""
        self._stopping = True
        for shard in range(SHARDS):
            self._lanes.shut(shard)
        self._stirred.set()

    def feed(self) -> None:
        """Send what may be sent now."""
        if self._closed or self._feeding or not self._owns():
            return
        self._feeding = True
        try:
            while (room := self._room()) > 0 and self._lanes.ready:
                self._send(self._lanes.take(room))
        finally:
            self._feeding = False
        if self._may_read() and self._reader.can_read():
            self._stirred.set()

    def confirmed(self, events: list[PendingEvent]) -> None:
        """Let the next events of these aggregates go."""
        if not self._closed:
            self._lanes.confirm(events)
            self._strike_later(self._striker.due_at, events)

    def refused(self, failure: Failure) -> None:
        """Hold the event's aggregate back until it is tried again."""
        if not self._closed:
            self._lanes.refuse(failure.event)
            self._striker.refused(failure)
            self._stirred.set()

    def faulty(self, failure: Failure) -> None:
        """Leave the event out."""
        if not self._closed:
            self._lanes.give_up(failure.event)
            self._striker.faulty(failure)
            self._stirred.set()

    def lost(self, events: list[PendingEvent]) -> None:
        """Send these again: they may have arrived or not."""
        if not self._closed:
            self._lanes.put_back(events)
            self._stirred.set()

    def _strike_later(self, due_before: float, events: list[PendingEvent]) -> None:
        self._striker.confirmed(events)
        if self._striker.due_at < due_before:
            self._stirred.set()

    def _send(self, events: list[PendingEvent]) -> None:
        try:
            self._publisher.send(events, self)
        except BrokerLostError:
            self._lanes.put_back(events)

    def _room(self) -> int:
        lanes, policy = self._lanes, self._policy
        at_risk = lanes.at_risk_total + self._striker.unsafe
        return min(self._publisher.room, policy.window - lanes.unconfirmed, policy.batch_size - at_risk)

    def _owns(self) -> bool:
        """Say whether our shards are still ours for sure: others end a session that is silent for twice as long."""
        silent = time.monotonic() - self._session.alive_at
        return silent < self._policy.lease_seconds and not self._session.lost.is_set()

    def _hear(self, payload: str) -> None:
        schema, _, what = payload.partition("/")
        if schema == self._session.schema:
            kind, _, named = what.partition("/")
            if kind == "replay":
                self._reader.replayed(int(named) if named.isdecimal() else 1)
            self._reader.wake(_numbers(named) if kind == "shards" else None)
            self._stirred.set()

    async def _turn(self) -> bool:
        """Do what is due of everything; return whether anything was read or written down."""
        self._stirred.clear()
        busy = False
        if self._read_at() <= time.monotonic():
            await self._reader.read()
            # Before anything else is asked: somebody may have been woken for this.
            self.feed()
            await self._reader.observe()
            await self._reader.look()
            busy = True
        if self._striker.due_at <= time.monotonic() or self._stopping:
            again_in = await self._striker.strike()
            if again_in is not None:
                self._reader.look_at(time.monotonic() + again_in)
        await self._chores.do(has_broker=self._publisher.ready.is_set())
        self.feed()
        return busy

    def _may_read(self) -> bool:
        """Say whether what is read could be sent."""
        return not self._stopping and self._publisher.ready.is_set()

    def _read_at(self) -> float:
        return self._reader.next_at(time.monotonic()) if self._may_read() else math.inf

    async def _wait(self) -> None:
        until = min(self._read_at(), self._striker.due_at, self._chores.next_at)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self._stirred.wait()


def _numbers(text: str) -> list[int] | None:
    """Return the numbers of a list; None when it is none, as a version to come may send."""
    parts = text.split(",")
    return [int(part) for part in parts] if all(map(str.isdecimal, parts)) else None
