import asyncio
from datetime import timedelta

import orjson
import pytest

from alta_common.clock import utc_now
from alta_common.outbox.table import SHARDS
from alta_common.testing import eventually
from alta_common.testing.postgres import FreshDatabase
from alta_outbox_relay.low_water import LowWater
from alta_outbox_relay.session import OutboxSession, Wanted
from alta_outbox_relay.shards import ShardOwner

EVERY_SHARD = [Wanted(shard, 0, 100) for shard in range(SHARDS)]


async def owner_of(database: FreshDatabase) -> tuple[OutboxSession, ShardOwner]:
    session = await OutboxSession.open(database.settings("relay"), "projects")
    owner = ShardOwner(session)
    await owner.join()
    return session, owner


async def settle(*owners: ShardOwner) -> None:
    for _ in range(len(owners) + 1):
        for owner in owners:
            await owner.rebalance()
            if owner.leaving:
                await owner.give_back(owner.leaving)


async def test_relays_share_the_shards_and_take_over(tables: FreshDatabase) -> None:
    one_session, one = await owner_of(tables)
    await settle(one)
    assert len(one.owned) == SHARDS

    two_session, two = await owner_of(tables)
    three_session, three = await owner_of(tables)
    await settle(one, two, three)
    assert sorted(len(owner.owned) for owner in (one, two, three)) == [5, 5, 6]
    assert sorted((*one.owned, *two.owned, *three.owned)) == list(range(SHARDS))

    # As when a process is killed: nobody says goodbye.
    one_session.abort()
    await eventually(lambda: _own_all(two, three))

    await two_session.close()
    await three_session.close()


async def test_who_has_no_broker_leaves_the_shards_to_those_who_have_one(tables: FreshDatabase) -> None:
    one_session, one = await owner_of(tables)
    two_session, two = await owner_of(tables)
    await settle(one, two)
    # Nobody has one: then everything stays where it is.
    assert (len(one.owned), len(two.owned)) == (SHARDS // 2, SHARDS // 2)

    await two.tell(has_broker=True)
    await settle(one, two)
    assert len(one.owned) == SHARDS // 2, "a relay that only lost its connection keeps what it has"
    await eventually(lambda: _leaves(one))
    await settle(two)
    assert len(two.owned) == SHARDS

    await one.tell(has_broker=True)
    await settle(one, two)
    assert (len(one.owned), len(two.owned)) == (SHARDS // 2, SHARDS // 2)
    await one_session.close()
    await two_session.close()


async def _leaves(owner: ShardOwner) -> bool:
    await settle(owner)
    return owner.owned == ()


async def _own_all(*owners: ShardOwner) -> bool:
    await settle(*owners)
    return sorted(shard for owner in owners for shard in owner.owned) == list(range(SHARDS))


@pytest.mark.parametrize("stopped_in", ["nothing", "a transaction"])
async def test_a_silent_session_is_ended_and_one_that_waits_is_not(
    tables: FreshDatabase, writer, stopped_in: str
) -> None:
    sessions = [await OutboxSession.open(tables.settings("relay"), "projects") for _ in range(3)]
    silent, waiting, ours = sessions
    owners = [ShardOwner(session) for session in sessions]
    for owner in owners:
        await owner.join()
    if stopped_in == "a transaction":
        await silent.ask("BEGIN")
    async with writer.superuser.transaction():
        # A statement that is not answered for longer than the other session is silent.
        await writer.superuser.execute("LOCK TABLE projects.outbox_pending")
        statement = asyncio.ensure_future(waiting.backlog())
        await eventually(lambda: writer.superuser.fetchval("SELECT bool_or(NOT granted) FROM pg_locks"))
        await owners[0].rebalance()

        await eventually(lambda: _end_silent(owners[2], silent))

        assert not waiting.lost.is_set()
    assert (await statement).depth == 0
    for session in (waiting, ours):
        await session.close()


async def _end_silent(owner: ShardOwner, silent: OutboxSession) -> bool:
    await owner.rebalance()
    await owner.end_silent(0.5)
    return silent.lost.is_set()


async def test_what_is_scheduled_is_late_only_once_it_is_due(tables: FreshDatabase, writer) -> None:
    session, _ = await owner_of(tables)
    await writer.write(writer.event("tomorrow"), deliver_at=utc_now() + timedelta(days=1))
    assert (await session.backlog()).oldest_seconds == 0

    await writer.write(writer.event("late"), deliver_at=utc_now() - timedelta(hours=1))
    assert 3600 <= (await session.backlog()).oldest_seconds < 3700

    await writer.write(writer.event("now"))
    assert (await session.backlog()).oldest_seconds >= 3600
    await session.close()


async def test_the_view_shows_what_a_live_relay_has_fetched(tables: FreshDatabase, writer) -> None:
    await writer.write(*(writer.event(str(number)) for number in range(5)))
    session, owner = await owner_of(tables)
    await owner.rebalance()
    batch = await session.fetch(EVERY_SHARD)

    await session.show_fetched({event.shard: event.id for event in batch})
    await writer.write(writer.event("too late"))

    assert await writer.states() == ["PROCESSING"] * 5 + ["PENDING"]
    session.abort()
    await eventually(lambda: _states(writer, ["PENDING"] * 6))


async def _states(writer, wanted: list[str]) -> bool:
    return await writer.states() == wanted


async def test_a_mark_never_passes_an_open_transaction(tables: FreshDatabase, writer) -> None:
    session, _ = await owner_of(tables)
    low_water = LowWater(session)
    shards = range(SHARDS)

    async with writer.sessions() as slow:
        await writer.outbox.add(slow, writer.event("slow"))
        await writer.write(*(writer.event(str(number)) for number in range(10)))
        await session.delete(await session.fetch(EVERY_SHARD))
        for _ in range(3):
            await low_water.advance(shards)
        assert {low for _, low in low_water.marks(shards)} == {0}
        await slow.commit()

    for _ in range(3):
        await low_water.advance(shards)
    (left,) = await session.fetch([Wanted(shard, low, 100) for shard, low in low_water.marks(shards)])
    assert orjson.loads(left.body)["data"]["name"] == "slow"
    assert dict(low_water.marks(shards))[left.shard] == left.id - 1
    assert all(low == 11 for shard, low in low_water.marks(shards) if shard != left.shard)
    await session.close()


async def test_a_long_transaction_elsewhere_does_not_hold_the_marks(tables: FreshDatabase, writer) -> None:
    session, _ = await owner_of(tables)
    low_water = LowWater(session)
    await writer.superuser.execute("CREATE TABLE public.elsewhere (id integer)")

    async with writer.superuser.transaction(isolation="repeatable_read"):
        await writer.superuser.execute("INSERT INTO public.elsewhere VALUES (1)")
        await writer.write(*(writer.event(str(number)) for number in range(10)))
        await session.delete(await session.fetch(EVERY_SHARD))
        for _ in range(3):
            await low_water.advance(range(SHARDS))
        assert {low for _, low in low_water.marks(range(SHARDS))} == {10}

    await session.close()
