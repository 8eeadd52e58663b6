"""Partitions of the outbox: made ahead, dropped when they are old, and nobody is kept waiting for it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta

import asyncpg
import pytest

from alta_common.clock import utc_now
from alta_common.contracts.projects import ProjectCreated
from alta_common.db.engine import Sessions
from alta_common.ids import new_id
from alta_common.outbox import Outbox
from alta_common.testing import eventually
from alta_common.testing.postgres import FreshDatabase

LONG_AGO = utc_now().date() - timedelta(days=40)

outbox = Outbox("projects")

_WRITE = """
INSERT INTO projects.outbox_event
    (event_id, event_type, exchange, routing_key, aggregate_type, aggregate_id, shard, body, headers, created_at)
VALUES (gen_random_uuid(), 'T', 'e', 'k', 'a', gen_random_uuid(), 3, '', '{}', $1::date + interval '12 hours')
RETURNING id
"""
_WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'projects.outbox_event'::regclass)"
_PLACES = "SELECT created_at::date AS day, tableoid::regclass::text AS place FROM projects.outbox_event ORDER BY id"


@pytest.fixture
async def other(tables: FreshDatabase) -> AsyncIterator[asyncpg.Connection]:
    """Another session, as the service has it."""
    connection = await asyncpg.connect(tables.settings("projects").postgres_dsn)
    yield connection
    await connection.close()


def name_of(day: date) -> str:
    return f"projects.outbox_event_{day:%Y%m%d}"


async def make_old_days(superuser: asyncpg.Connection, *days: date) -> list[int]:
    """Make partitions of `days` with an event in each, which has gone out; return the events' ids."""
    await superuser.execute("SET timezone = 'UTC'")
    ids: list[int] = []
    for day in days:
        bounds = f"FROM ('{day}') TO ('{day + timedelta(days=1)}')"
        partition = f"CREATE TABLE {name_of(day)} PARTITION OF projects.outbox_event FOR VALUES {bounds}"
        await superuser.execute(partition)
        await superuser.execute(f"ALTER TABLE {name_of(day)} OWNER TO alta_projects")
        ids.append(await superuser.fetchval(_WRITE, day))
    await superuser.execute("DELETE FROM projects.outbox_pending")
    return ids


async def exists(superuser: asyncpg.Connection, day: date) -> bool:
    return await superuser.fetchval("SELECT to_regclass($1) IS NOT NULL", name_of(day))


async def drop(connection: asyncpg.Connection) -> int:
    return await connection.fetchval("SELECT projects.outbox_drop_partitions(30)")


async def write(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await outbox.add(session, ProjectCreated(project_id=new_id(), name="Letters", created_by=new_id()))


async def test_events_lie_in_the_partition_of_their_day(sessions: Sessions, superuser: asyncpg.Connection) -> None:
    await write(sessions)

    partition = await superuser.fetchval("SELECT tableoid::regclass::text FROM projects.outbox_event")
    assert partition == name_of(utc_now().date())
    assert await superuser.fetchval("SELECT projects.outbox_ensure_partitions(7)") == 0
    assert await superuser.fetchval("SELECT projects.outbox_ensure_partitions(9)") == 2


@pytest.mark.parametrize("place", ["pending", "parked"])
async def test_old_days_go_when_nothing_of_them_waits(superuser: asyncpg.Connection, place: str) -> None:
    gone, waits = LONG_AGO, LONG_AGO + timedelta(days=1)
    _, waiting = await make_old_days(superuser, gone, waits)
    await superuser.fetchval("SELECT projects.outbox_replay($1)", [waiting])
    if place == "parked":
        await superuser.execute(
            "WITH gone AS (DELETE FROM projects.outbox_pending RETURNING *) INSERT INTO projects.outbox_parked "
            "SELECT id, shard, created_at, aggregate_id, 1, 'refused' FROM gone"
        )

    assert await drop(superuser) == 1
    assert not await exists(superuser, gone)
    assert await exists(superuser, waits)


async def test_a_day_stays_when_a_replay_of_it_commits_at_that_moment(
    superuser: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    ids = await make_old_days(superuser, LONG_AGO)
    replay = other.transaction()
    await replay.start()
    await other.fetchval("SELECT projects.outbox_replay($1)", ids)

    dropping = asyncio.ensure_future(drop(superuser))
    await eventually(lambda: dropping.done() or other.fetchval(_WAITS))
    await replay.commit()

    assert await dropping == 0
    assert await superuser.fetchval(
        "SELECT count(*) FROM projects.outbox_pending JOIN projects.outbox_event USING (id)"
    )


async def test_writers_do_not_queue_behind_a_drop_that_waits_for_a_long_reader(
    sessions: Sessions, superuser: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    await make_old_days(superuser, *(LONG_AGO + timedelta(days=number) for number in range(3)))
    async with other.transaction():
        await other.fetch("SELECT FROM projects.outbox_event")

        dropping = asyncio.ensure_future(drop(superuser))
        async with sessions.begin() as session:
            await eventually(lambda: dropping.done() or other.fetchval(_WAITS))
            connection = await session.connection()
            await connection.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
            await outbox.add(session, ProjectCreated(project_id=new_id(), name="Letters", created_by=new_id()))

        assert await dropping == 0
    assert await drop(superuser) == 3


async def test_a_day_that_somebody_reads_keeps_no_other_day(
    superuser: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    read, unread = LONG_AGO, LONG_AGO + timedelta(days=1)
    await make_old_days(superuser, read, unread)

    async with other.transaction():
        await other.fetch(f"SELECT FROM {name_of(read)}")
        assert await drop(superuser) == 1

    assert await exists(superuser, read)
    assert not await exists(superuser, unread)


async def test_days_that_had_no_partition_get_one_afterwards_and_go_in_their_time(
    sessions: Sessions, superuser: asyncpg.Connection
) -> None:
    """As on a laptop that was off for so long that no day was made ahead any more."""
    await superuser.execute("SET timezone = 'UTC'")
    today = utc_now().date()
    await superuser.execute(f"DROP TABLE {name_of(today)}")
    recent = today - timedelta(days=10)
    for day in (recent, LONG_AGO, recent):
        await superuser.execute(_WRITE, day)
    await write(sessions)

    made = [await superuser.fetchval("SELECT projects.outbox_ensure_partitions(7)") for _ in range(3)]

    assert made == [1, 1, 0]
    places = [(row["day"], row["place"]) for row in await superuser.fetch(_PLACES)]
    old = [(day, name_of(day)) for day in (recent, LONG_AGO, recent)]
    # What may be written to at this moment is moved when the day is over.
    assert places == [*old, (today, "projects.outbox_event_default")]
    assert await superuser.fetchval("SELECT count(*) FROM projects.outbox_pending") == 4
    assert await drop(superuser) == 0
    await superuser.execute("DELETE FROM projects.outbox_pending")
    assert await drop(superuser) == 1
    assert not await exists(superuser, LONG_AGO)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await superuser.execute("DELETE FROM projects.outbox_event_default")


async def test_who_writes_while_todays_partition_is_attached_is_not_refused(
    sessions: Sessions, superuser: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    today = name_of(utc_now().date())
    await superuser.execute(f"DROP TABLE {today}")
    async with other.transaction():
        assert await other.fetchval("SELECT projects.outbox_ensure_partitions(0)") == 1
        writing = asyncio.ensure_future(write(sessions))
        await eventually(lambda: superuser.fetchval("SELECT bool_or(NOT granted) FROM pg_locks"))

    await writing
    assert await superuser.fetchval("SELECT tableoid::regclass::text FROM projects.outbox_event") == today
