import signal
from collections import defaultdict

import asyncpg
import httpx
import orjson
from structlog.testing import capture_logs

from alta_common.ids import new_id
from alta_common.testing import eventually
from alta_common.testing.plugin import CloseConnections
from alta_common.testing.postgres import FreshDatabase

AGGREGATES = [new_id() for _ in range(25)]
FEW = 40
"""A batch that is small beside what is written: what may come twice is a small part of it."""


async def write_many(writer, count: int, first: int = 0) -> list[str]:
    """Write `count` events for each aggregate; return all ids."""
    ids: list[str] = []
    for number in range(first, first + count):
        events = [writer.event(f"{number}", project) for project in AGGREGATES]
        ids += [str(event.event_id) for event in events]
        await writer.write(*events)
    return ids


async def write_at_once(writer, count: int, first: int) -> list[str]:
    """Write `count` events for each aggregate in one commit, so that a relay has work in hand; return all ids."""
    numbers = range(first, first + count)
    events = [writer.event(f"{number}", project) for number in numbers for project in AGGREGATES]
    await writer.write(*events)
    return [str(event.event_id) for event in events]


def check_messages(messages, ids: list[str], duplicates: int) -> None:
    """Nothing is missing, nothing overtakes within an aggregate, and little came twice."""
    order: dict[str, list[int]] = defaultdict(list)
    seen: set[str] = set()
    for message in messages:
        envelope = orjson.loads(message.body)
        if envelope["id"] not in seen:
            seen.add(envelope["id"])
            order[envelope["partitionkey"]].append(int(envelope["data"]["name"]))
    assert seen == set(ids)
    assert all(numbers == sorted(numbers) for numbers in order.values())
    assert len(messages) - len(seen) <= duplicates


async def test_a_killed_relay_loses_nothing(start_process, writer, observed) -> None:
    ids = await write_many(writer, 100)
    async with writer.superuser.transaction():
        # The relay is caught in the middle: what it has published of these it cannot strike out.
        held = "SELECT FROM projects.outbox_pending WHERE aggregate_id = $1 FOR UPDATE"
        await writer.superuser.execute(held, AGGREGATES[0])
        first = await start_process(OUTBOX_BATCH_SIZE="200")
        await eventually(lambda: writer.superuser.fetchval("SELECT bool_or(NOT granted) FROM pg_locks"))
        await first.end(signal.SIGKILL)
        assert await observed.count() > 0
        assert not await writer.is_empty()

    second = await start_process(OUTBOX_BATCH_SIZE="200")
    await eventually(writer.is_empty)

    check_messages(await observed.take(), ids, duplicates=200)
    assert await second.end(signal.SIGTERM) == 0
    assert second.said("relay.stopped")


async def test_closed_broker_connections_lose_nothing(
    run_relay, tables, writer, observed, close_broker_connections: CloseConnections
) -> None:
    ids: list[str] = []
    async with run_relay(window=20, batch_size=FEW):
        for number in range(4):
            ids += await write_at_once(writer, 40, first=40 * number)
            # Connected again, and in the middle of it.
            before = await observed.count()
            await eventually(lambda before=before: _has_grown(observed, before))
            await eventually(close_broker_connections)
            assert not await writer.is_empty()
        await eventually(writer.is_empty)

    check_messages(await observed.take(), ids, duplicates=FEW * 4)


async def _has_grown(observed, before: int) -> bool:
    return await observed.count() > before


async def test_killed_database_sessions_lose_nothing(run_relay, tables, writer, observed) -> None:
    ids: list[str] = []
    async with run_relay(window=20, batch_size=FEW) as relay:
        for number in range(3):
            await eventually(lambda: relay.serving)
            ids += await write_at_once(writer, 20, first=20 * number)
            await eventually(lambda: _kill_sessions(writer.superuser))
            assert not await writer.is_empty()
        await eventually(writer.is_empty)

    check_messages(await observed.take(), ids, duplicates=FEW * 3)


async def _kill_sessions(superuser: asyncpg.Connection) -> bool:
    killed = await superuser.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE usename = 'alta_relay' AND datname = current_database()"
    )
    return bool(killed)


async def test_two_relays_drain_together_and_one_takes_over(run_relay, tables, writer, observed) -> None:
    async with run_relay() as one, run_relay() as two:
        await eventually(lambda: one.serving)
        await eventually(lambda: two.serving)
        ids = await write_many(writer, 20)
        await eventually(writer.is_empty)
        one.stop()
        more = [writer.event("20", project) for project in AGGREGATES]
        await writer.write(*more)
        await eventually(writer.is_empty)

    check_messages(await observed.take(), [*ids, *(str(event.event_id) for event in more)], duplicates=0)


async def test_a_relay_without_a_broker_leaves_everything_to_one_that_has_it(
    run_relay, tables, writer, observed
) -> None:
    async with run_relay("amqp://127.0.0.1:1/") as deaf:
        await eventually(lambda: deaf.serving)
        ids = await write_many(writer, 10)
        async with run_relay() as hearing:
            await eventually(lambda: hearing.serving)
            await eventually(writer.is_empty)

    check_messages(await observed.take(), ids, duplicates=0)


async def test_a_frozen_relay_loses_its_shards_and_wakes_without_harm(start_process, writer, observed) -> None:
    frozen = await start_process(OUTBOX_STALE_SECONDS="2", OUTBOX_BATCH_SIZE="200")
    await frozen.serving()
    ids = await write_many(writer, 10)
    frozen.process.send_signal(signal.SIGSTOP)
    ids += await write_many(writer, 10, first=10)

    other = await start_process(OUTBOX_STALE_SECONDS="2", OUTBOX_BATCH_SIZE="200")
    await eventually(writer.is_empty)
    frozen.process.send_signal(signal.SIGCONT)
    await eventually(lambda: frozen.said("outbox.database_awaited"))
    ids += await write_many(writer, 5, first=20)
    await eventually(writer.is_empty)

    assert other.said("outbox.silent_relay_ended")
    assert await frozen.end(signal.SIGTERM) == 0
    assert await other.end(signal.SIGTERM) == 0
    check_messages(await observed.take(), ids, duplicates=200)


async def test_it_waits_for_a_database_that_is_not_migrated(database: FreshDatabase, writer, run_relay) -> None:
    with capture_logs() as logs:
        async with run_relay() as relay:
            await eventually(lambda: [line for line in logs if line["event"] == "outbox.database_awaited"])
            assert not relay.serving
            await writer.create_tables()
            await writer.write(writer.event())
            await eventually(writer.is_empty)


async def test_it_waits_for_a_broker_and_says_so(start_process, management, observed, writer) -> None:
    await management.delete_vhost(observed.url)
    process = await start_process()
    await process.serving()
    port = await eventually(lambda: process.said("internal.listening"))

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port['port']}", timeout=60) as client:
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["checks"]["outbox_projects"]) == (503, "ok")
        assert "not connected" in ready.json()["checks"]["broker"]
        assert (await client.get("/health/live")).status_code == 200
        await writer.write(writer.event())
        await management.create_vhost(observed.url)
        await eventually(writer.is_empty)
        await eventually(lambda: _is_ready(client))
        metrics = (await client.get("/metrics")).text
        assert 'alta_outbox_published_total{schema="projects"} 1.0' in metrics
        assert 'alta_outbox_shards_owned{schema="projects"} 16.0' in metrics
    assert await process.end(signal.SIGTERM) == 0


async def _is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/health/ready")).status_code == 200
