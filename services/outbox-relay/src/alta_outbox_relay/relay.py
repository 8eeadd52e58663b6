"""The relay of one outbox: fetch in order, publish, strike out."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import structlog

from alta_outbox_relay import metrics
from alta_outbox_relay.event import Failure, Outcome, PendingEvent
from alta_outbox_relay.low_water import LowWater
from alta_outbox_relay.publisher import BrokerLostError, FaultyEventError, Publisher, RefusedError
from alta_outbox_relay.session import SESSION_ERRORS, OutboxSession
from alta_outbox_relay.shards import ShardOwner

log = structlog.get_logger()

_REBALANCE_SECONDS = 0.25
_ADVANCE_SECONDS = 1.0
_FORGET_SECONDS = 60.0
_RECONNECT_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 300.0


class SessionLostError(Exception):
    """The database session has ended, and with it the right to publish what it owned."""


@dataclass(frozen=True, slots=True)
class RelayPolicy:
    """How much at once, how often, how long."""

    batch_size: int
    window: int
    poll_seconds: float
    max_retries: int
    retry_seconds: float

    def retry_in(self, attempts: int) -> float:
        """Return the wait before the next attempt after `attempts` failed ones: exponential, with full jitter."""
        longest = min(_LONGEST_RETRY_SECONDS, self.retry_seconds * 2 ** min(attempts, 20))
        return random.uniform(0, longest)  # noqa: S311 - jitter, not a secret


class SchemaRelay:
    """Drains the outbox of one schema, as far as its shards are ours, until `stop`."""

    def __init__(
        self, schema: str, connect: Callable[[], Awaitable[OutboxSession]], publisher: Publisher, policy: RelayPolicy
    ) -> None:
        self._schema = schema
        self._connect = connect
        self._publisher = publisher
        self._policy = policy
        self._window = asyncio.Semaphore(policy.window)
        self._woken = asyncio.Event()
        self._replayed = False
        self._stopping = False
        self._serving = False
        publisher.when_ready(self._woken.set)

    @property
    def serving(self) -> bool:
        """Say whether the database is connected and its outbox in reach."""
        return self._serving

    async def check(self) -> None:
        """Raise `SessionLostError` while it is not `serving`."""
        if not self._serving:
            raise SessionLostError(f"not connected to the outbox of {self._schema}")

    def stop(self) -> None:
        """Finish the batch at hand, and then return from `run`."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Relay; wait for a database that is not there, or not migrated, or gone."""
        while not self._stopping:
            try:
                session = await self._connect()
                try:
                    await self._serve(session)
                finally:
                    self._serving = False
                    metrics.shards_owned.labels(self._schema).set(0)
                    await session.close()
            except (*SESSION_ERRORS, SessionLostError) as error:
                log.warning("outbox.database_awaited", schema=self._schema, error=repr(error))
                await self._pause(_RECONNECT_SECONDS)

    async def _serve(self, session: OutboxSession) -> None:
        owner, low_water = ShardOwner(session), LowWater(session)
        await session.listen(self._hear)
        await owner.join()
        # A look at the tables, so that a missing migration or grant shows before any event does.
        await session.fetch(low_water.marks([]), 1)
        self._serving = True
        log.info("outbox.serving", schema=self._schema)
        chores = _Chores(owner, low_water)
        next_look = 0.0
        while not self._stopping:
            if await chores.do():
                metrics.shards_owned.labels(self._schema).set(len(owner.owned))
                next_look = 0.0
            if self._woken.is_set() or time.monotonic() >= next_look:
                self._woken.clear()
                found = await self._relay_batch(session, chores)
                next_look = 0.0 if found else time.monotonic() + self._policy.poll_seconds
            if next_look:
                await self._wait(session, min(next_look - time.monotonic(), _REBALANCE_SECONDS))

    def _hear(self, payload: str) -> None:
        schema, _, what = payload.partition("/")
        if schema == self._schema:
            self._replayed = self._replayed or what == "replay"
            self._woken.set()

    async def _relay_batch(self, session: OutboxSession, chores: "_Chores") -> bool:
        """Relay what may go out now, a batch at the most; return whether there was anything and it went somewhere."""
        if not self._publisher.ready.is_set():
            return False
        if self._replayed:
            self._replayed = False
            chores.low_water.forget()
        batch = await session.fetch(chores.next_marks(), self._policy.batch_size)
        if not batch:
            return False
        await session.show_fetched(batch)
        outcome = await self._publish_owned(session, batch)
        await self._settle(session, outcome)
        await session.hide_fetched()
        return bool(outcome.confirmed or outcome.refused or outcome.faulty)

    async def _publish_owned(self, session: OutboxSession, batch: list[PendingEvent]) -> Outcome:
        """Publish the batch for as long as its shards are ours: that is, as the session lives."""
        outcome = Outcome()
        publishing = asyncio.ensure_future(self._publish(batch, outcome))
        losing = asyncio.ensure_future(session.lost.wait())
        try:
            await asyncio.wait({publishing, losing}, return_when=asyncio.FIRST_COMPLETED)
            if session.lost.is_set():
                raise SessionLostError("the session ended while its events were being published")
            publishing.result()
        finally:
            losing.cancel()
            if not publishing.done():
                publishing.cancel()
                await asyncio.wait({publishing})
        return outcome

    async def _publish(self, batch: list[PendingEvent], outcome: Outcome) -> None:
        aggregates: dict[UUID, list[PendingEvent]] = defaultdict(list)
        for event in batch:
            aggregates[event.aggregate_id].append(event)
        async with asyncio.TaskGroup() as group:
            for events in aggregates.values():
                group.create_task(self._publish_aggregate(events, outcome))

    async def _publish_aggregate(self, events: list[PendingEvent], outcome: Outcome) -> None:
        """Publish an aggregate's events one after the other: none may overtake one that is not safe yet."""
        for event in events:
            try:
                async with self._window:
                    await self._publisher.publish(event)
            except FaultyEventError as error:
                # It will never be published, so what follows overtakes nothing.
                outcome.faulty.append(Failure(event, str(error)))
            except RefusedError as error:
                outcome.refused.append(Failure(event, str(error)))
                return
            except BrokerLostError:
                return
            else:
                outcome.confirmed.append(event)

    async def _settle(self, session: OutboxSession, outcome: Outcome) -> None:
        """Write down what became of a batch."""
        if outcome.confirmed:
            await session.delete(outcome.confirmed)
        for failure in outcome.faulty:
            await self._park(session, failure)
        for failure in outcome.refused:
            attempts = failure.event.attempts + 1
            if attempts > self._policy.max_retries:
                await self._park(session, failure)
            else:
                seconds = self._policy.retry_in(attempts)
                await session.postpone(failure, seconds)
                event = failure.event
                log.warning(
                    "outbox.postponed",
                    event_id=event.event_id,
                    event_type=event.event_type,
                    attempts=attempts,
                    seconds=round(seconds, 3),
                    reason=failure.reason,
                )

    async def _park(self, session: OutboxSession, failure: Failure) -> None:
        await session.park(failure)
        metrics.parkings.labels(self._schema).inc()
        event = failure.event
        log.error(
            "outbox.parked",
            event_id=event.event_id,
            event_type=event.event_type,
            attempts=event.attempts + 1,
            reason=failure.reason,
        )

    async def _wait(self, session: OutboxSession, seconds: float) -> None:
        """Wait until woken, or for this long."""
        await self._pause(seconds)
        if session.lost.is_set():
            raise SessionLostError("the session ended")

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._woken.wait()
        except TimeoutError:
            return


class _Chores:
    """What a relay does between batches, each in its own rhythm."""

    def __init__(self, owner: ShardOwner, low_water: LowWater) -> None:
        self.owner = owner
        self.low_water = low_water
        self._turn = 0
        self._rebalance_at = 0.0
        self._advance_at = 0.0
        self._forget_at = time.monotonic() + _FORGET_SECONDS

    async def do(self) -> bool:
        """Do what is due; return whether our shards have changed."""
        now = time.monotonic()
        changed = False
        if now >= self._rebalance_at:
            self._rebalance_at = now + _REBALANCE_SECONDS
            changed = await self.owner.rebalance()
        # A shard that was somebody else's in the meantime may hold what we do not know of.
        if changed or now >= self._forget_at:
            self._forget_at = now + _FORGET_SECONDS
            self.low_water.forget()
        if now >= self._advance_at:
            self._advance_at = now + _ADVANCE_SECONDS
            await self.low_water.advance(self.owner.owned)
        return changed

    def next_marks(self) -> list[tuple[int, int]]:
        """Return our shards and their marks, beginning with another one each time: none is always served last."""
        owned = self.owner.owned
        self._turn += 1
        start = self._turn % len(owned) if owned else 0
        return self.low_water.marks((*owned[start:], *owned[:start]))
