"""What the pipeline does while the broker takes its time: a broker that confirms when the test says so."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest

from alta_common.clock import utc_now
from alta_common.ids import new_id
from alta_common.outbox.table import SHARDS
from alta_common.outbox.writer import shard_of
from alta_common.testing import eventually
from alta_common.testing.postgres import FreshDatabase
from alta_outbox_relay.event import PendingEvent
from alta_outbox_relay.lanes import Lanes
from alta_outbox_relay.low_water import LowWater
from alta_outbox_relay.policy import RelayPolicy
from alta_outbox_relay.publisher import Sink
from alta_outbox_relay.reader import BUFFER_BYTES, BUFFER_EVENTS, Reader
from alta_outbox_relay.relay import SchemaRelay
from alta_outbox_relay.session import OutboxSession
from alta_outbox_relay.shards import ShardOwner


class SlowBroker:
    """A publisher whose broker confirms nothing by itself."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.ready.set()
        self.room = 1000
        self.sent: list[tuple[PendingEvent, Sink]] = []
        self._acts: list[Callable[[], None]] = []

    def when_room(self, act: Callable[[], None]) -> None:
        self._acts.append(act)

    def send(self, events: Sequence[PendingEvent], sink: Sink) -> None:
        self.sent += [(event, sink) for event in events]
        self.room -= len(events)

    def confirm(self, count: int = 1000) -> list[PendingEvent]:
        """Confirm the first ones that were sent; return them."""
        sent, self.sent = self.sent[:count], self.sent[count:]
        self.room += len(sent)
        for event, sink in sent:
            sink.confirmed([event])
        for act in self._acts:
            act()
        return [event for event, _ in sent]


@asynccontextmanager
async def relaying_slowly(
    database: FreshDatabase, broker: SlowBroker, batch_size: int = 500
) -> AsyncIterator[tuple[SchemaRelay, asyncio.Future[None]]]:
    policy = RelayPolicy(
        batch_size=batch_size, window=300, poll_seconds=0.05, max_retries=2, retry_seconds=0.02, stale_seconds=60
    )
    connect = partial(OutboxSession.open, database.settings("relay"), "projects")
    relay = SchemaRelay("projects", connect, broker, policy)
    running = asyncio.ensure_future(relay.run())
    try:
        yield relay, running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_shard_is_given_back_only_once_nothing_of_it_is_on_its_way(tables: FreshDatabase, writer) -> None:
    projects = [new_id() for _ in range(200)]
    await writer.write(*(writer.event("first", project) for project in projects))
    await writer.write(*(writer.event("second", project) for project in projects))
    broker = SlowBroker()
    async with relaying_slowly(tables, broker):
        await eventually(lambda: len(broker.sent) == 200)
        session = await OutboxSession.open(tables.settings("relay"), "projects")
        other = ShardOwner(session)
        await other.join()
        await other.tell(has_broker=True)

        # The first one has seen the second when it sends nothing more of some shards; it asks four times a second.
        before = broker.confirm()
        await eventually(lambda: len(broker.sent) > 0)
        for _ in range(3):
            await other.rebalance()
            held = {shard_of(event.aggregate_id) for event, _ in broker.sent}
            assert not held & set(other.owned)
        await eventually(lambda: _confirm_and_own(broker, other, SHARDS // 2))

    sent_of_others = {event.shard for event, _ in broker.sent} & set(other.owned)
    assert len(before) == 200
    assert not sent_of_others
    await session.close()


async def _confirm_and_own(broker: SlowBroker, owner: ShardOwner, count: int) -> bool:
    broker.confirm()
    await owner.rebalance()
    return len(owner.owned) == count


async def test_what_the_lost_session_sent_moves_nothing_any_more(tables: FreshDatabase, writer) -> None:
    project = new_id()
    await writer.write(writer.event("first", project), writer.event("second", project))
    broker = SlowBroker()
    async with relaying_slowly(tables, broker):
        await eventually(lambda: len(broker.sent) == 1)
        await eventually(lambda: _kill_sessions(writer))
        # The next session sends it again.
        await eventually(lambda: len(broker.sent) == 2)

        (of_lost_session,) = broker.confirm(1)
        assert [event for event, _ in broker.sent] == [of_lost_session]

        assert broker.confirm() == [of_lost_session]
        await eventually(lambda: len(broker.sent) == 1)
        broker.confirm()
        await eventually(writer.is_empty)


async def _kill_sessions(writer) -> bool:
    statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"
    return bool(await writer.superuser.fetch(statement, "outbox-relay-projects"))


async def test_no_more_than_a_batch_is_sent_before_it_is_struck_out(tables: FreshDatabase, writer) -> None:
    await writer.write(*(writer.event(str(number)) for number in range(100)))
    broker = SlowBroker()
    async with writer.superuser.transaction():
        # Whoever deletes these waits.
        await writer.superuser.execute("SELECT FROM projects.outbox_pending FOR UPDATE")
        async with relaying_slowly(tables, broker, batch_size=20):
            confirmed: list[PendingEvent] = []
            await eventually(lambda: len(broker.sent) == 20)
            confirmed += broker.confirm()
            await eventually(lambda: writer.superuser.fetchval("SELECT bool_or(NOT granted) FROM pg_locks"))
            confirmed += broker.confirm()

    assert len(confirmed) == 20


async def test_a_relay_that_stops_waits_for_what_is_on_its_way(tables: FreshDatabase, writer) -> None:
    project = new_id()
    await writer.write(writer.event("first", project), writer.event("second", project))
    broker = SlowBroker()
    async with relaying_slowly(tables, broker) as (relay, running):
        await eventually(lambda: len(broker.sent) == 1)

        relay.stop()
        assert not running.done()
        broker.confirm()
        await asyncio.wait_for(running, 60)

    assert broker.sent == []
    assert await writer.states() == ["COMPLETED", "PENDING"]


@pytest.fixture
async def session(tables: FreshDatabase) -> AsyncIterator[OutboxSession]:
    session = await OutboxSession.open(tables.settings("relay"), "projects")
    yield session
    await session.close()


async def test_what_is_in_memory_is_bounded_and_every_shard_has_its_part(session: OutboxSession, writer) -> None:
    busy = new_id()
    await writer.write(*(writer.event("busy", busy) for _ in range(BUFFER_EVENTS)))
    await writer.write(*(writer.event("beside it") for _ in range(BUFFER_EVENTS)))
    lanes = Lanes()
    reader = Reader(session, lanes, LowWater(session), poll_seconds=1)
    reader.serve(range(SHARDS))

    # Nothing is sent, as while an alarm blocks the broker.
    while reader.can_read():
        await reader.read()

    assert lanes.buffered_total <= BUFFER_EVENTS
    assert lanes.buffered[shard_of(busy)] <= BUFFER_EVENTS // SHARDS
    assert all(count > 0 for count in lanes.buffered)


async def test_a_due_event_comes_after_earlier_ones_that_are_not_read_yet(session: OutboxSession, writer) -> None:
    project = new_id()
    busy = next(one for one in iter(new_id, None) if shard_of(one) == shard_of(project))
    await writer.write(*(writer.event("busy", busy) for _ in range(BUFFER_EVENTS)))
    await writer.write(writer.event("first", project))
    await writer.write(writer.event("due", project), deliver_at=utc_now())
    await writer.write(writer.event("last", project))
    lanes = Lanes()
    reader = Reader(session, lanes, LowWater(session), poll_seconds=1)
    reader.serve(range(SHARDS))

    order: list[int] = []
    while len(order) < 3:
        await reader.read()
        reader.look_at(0)
        await reader.look()
        sent = lanes.take(BUFFER_EVENTS)
        order += [event.id for event in sent if event.aggregate_id == project]
        lanes.confirm(sent)
        await session.delete(sent)
        lanes.struck_out(sent)

    assert order == sorted(order)


async def test_a_new_owner_reads_what_became_due_before_it_came(session: OutboxSession, writer) -> None:
    project = new_id()
    await writer.write(writer.event("due", project), deliver_at=utc_now())
    await writer.write(writer.event("later", project))
    lanes = Lanes()
    reader = Reader(session, lanes, LowWater(session), poll_seconds=1)
    reader.serve(range(SHARDS))

    # Before it has looked.
    while not lanes.ready:
        await reader.read()
    (first,) = lanes.take(5)

    assert first.id == min(lanes.known)
    assert len(lanes.known) == 2


async def test_what_is_due_takes_no_more_memory_than_anything_else(session: OutboxSession, writer) -> None:
    await writer.write(*(writer.event("due") for _ in range(2 * BUFFER_EVENTS)), deliver_at=utc_now())
    lanes = Lanes()
    reader = Reader(session, lanes, LowWater(session), poll_seconds=1)
    reader.serve(range(SHARDS))

    for _ in range(10):
        reader.look_at(0)
        await reader.look()
        while reader.can_read():
            await reader.read()

    assert lanes.buffered_total <= BUFFER_EVENTS
    assert all(count > 0 for count in lanes.buffered)


async def test_large_events_take_no_more_memory_than_small_ones(session: OutboxSession, writer) -> None:
    for _ in range(4):
        await writer.write(*(writer.event("x" * 60_000) for _ in range(400)))
    lanes = Lanes()
    reader = Reader(session, lanes, LowWater(session), poll_seconds=1)
    reader.serve(range(SHARDS))

    count = 0
    while reader.can_read():
        while reader.can_read():
            await reader.read()
        assert lanes.buffered_total * 60_000 <= 1.2 * BUFFER_BYTES
        sent = lanes.take(10_000)
        count += len(sent)
        lanes.confirm(sent)
        await session.delete(sent)
        lanes.struck_out(sent)

    assert count == 1600
