from datetime import timedelta
from typing import ClassVar
from uuid import UUID

import asyncpg
import orjson
import pytest
from sqlalchemy import event as hooks
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.clock import utc_now
from alta_common.contracts.event import Event
from alta_common.contracts.projects import ProjectCreated
from alta_common.db.engine import Sessions
from alta_common.errors import InvalidError
from alta_common.ids import new_id
from alta_common.outbox import Outbox, OutboxWakeup, UnknownEventError
from alta_common.outbox.writer import shard_of
from alta_common.telemetry.context import bind_request, span
from alta_common.testing import eventually
from alta_common.testing.postgres import FreshDatabase

outbox = Outbox("projects")


def a_project_created(project_id: UUID | None = None, name: str = "Letters") -> ProjectCreated:
    return ProjectCreated(project_id=project_id or new_id(), name=name, created_by=new_id())


async def test_an_event_is_there_when_its_transaction_commits(
    sessions: Sessions, superuser: asyncpg.Connection
) -> None:
    event = a_project_created()

    with bind_request("request-1"), span("upload"):
        async with sessions.begin() as session:
            await outbox.add(session, event)

    row = await superuser.fetchrow("SELECT * FROM projects.outbox_event")
    assert row["event_id"] == event.event_id
    assert (row["exchange"], row["routing_key"]) == ("projects.events", "projects.project.created.v1")
    assert (row["aggregate_type"], row["aggregate_id"]) == ("project", event.project_id)
    assert row["correlation_id"] == "request-1"
    body = orjson.loads(row["body"])
    assert body["data"]["name"] == "Letters"
    assert body["correlationid"] == "request-1"
    # The rest stands in the columns.
    headers = orjson.loads(row["headers"])
    assert headers.pop("cloudEvents:time") == body["time"]
    assert headers == {name: body[name] for name in ("traceparent",) if name in body}


async def test_a_rolled_back_event_never_was(sessions: Sessions, superuser: asyncpg.Connection) -> None:
    async with sessions() as session:
        await outbox.add(session, a_project_created())
        await session.rollback()

    assert await superuser.fetchval("SELECT count(*) FROM projects.outbox_event") == 0
    assert await superuser.fetchval("SELECT count(*) FROM projects.outbox_pending") == 0


async def test_ids_follow_the_order_of_adding(sessions: Sessions, superuser: asyncpg.Connection) -> None:
    project_id = new_id()
    names = [f"name {number}" for number in range(50)]

    async with sessions.begin() as session:
        await outbox.add(session, *(a_project_created(project_id, name) for name in names[:40]))
        await outbox.add(session, *(a_project_created(project_id, name) for name in names[40:]))

    rows = await superuser.fetch("SELECT body FROM projects.outbox_event ORDER BY id")
    assert [orjson.loads(row["body"])["data"]["name"] for row in rows] == names


@pytest.mark.parametrize("count", [1, 100])
async def test_adding_costs_one_statement(
    engine: AsyncEngine, sessions: Sessions, superuser: asyncpg.Connection, count: int
) -> None:
    statements: list[str] = []

    async with sessions.begin() as session:
        await session.execute(text("SELECT 1"))
        hooks.listen(engine.sync_engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
        await outbox.add(session, *(a_project_created() for _ in range(count)))

    assert len(statements) == 1
    assert await superuser.fetchval("SELECT count(*) FROM projects.outbox_pending") == count


async def test_every_event_waits_in_the_shard_of_its_aggregate(
    sessions: Sessions, superuser: asyncpg.Connection
) -> None:
    project_id = new_id()

    async with sessions.begin() as session:
        await outbox.add(session, a_project_created(project_id), a_project_created(), a_project_created(project_id))

    rows = await superuser.fetch("SELECT * FROM projects.outbox_pending ORDER BY id")
    assert rows[0]["aggregate_id"] == rows[2]["aggregate_id"] == project_id
    assert rows[0]["shard"] == rows[2]["shard"]
    assert all(0 <= row["shard"] < 16 and row["attempts"] == 0 and row["due_at"] is None for row in rows)


async def test_what_is_no_contract_is_refused(sessions: Sessions) -> None:
    class Rumour(ProjectCreated):
        ROUTING_KEY: ClassVar[str] = "projects.rumour.v1"

    rumour: Event = Rumour(project_id=new_id(), name="x", created_by=new_id())

    async with sessions.begin() as session:
        with pytest.raises(UnknownEventError, match="Rumour"):
            await outbox.add(session, rumour)
        with pytest.raises(InvalidError, match="bytes"):
            await outbox.add(session, a_project_created(name="x" * 70_000))


async def test_an_event_cannot_be_changed_or_removed(sessions: Sessions, superuser: asyncpg.Connection) -> None:
    async with sessions.begin() as session:
        await outbox.add(session, a_project_created())

    for statement in (
        "UPDATE projects.outbox_event SET exchange = 'x'",
        "DELETE FROM projects.outbox_event",
        "TRUNCATE projects.outbox_event",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await superuser.execute(statement)


async def test_the_view_tells_where_each_event_stands(sessions: Sessions, superuser: asyncpg.Connection) -> None:
    async with sessions.begin() as session:
        await outbox.add(session, *(a_project_created(name=name) for name in ("waits", "failed", "parked", "done")))
        await outbox.add(session, a_project_created(name="later"), deliver_at=utc_now() + timedelta(hours=1))
    ids = [row["id"] for row in await superuser.fetch("SELECT id FROM projects.outbox_event ORDER BY id")]
    await superuser.execute(
        "UPDATE projects.outbox_pending SET attempts = 2, due_at = now() + interval '1 minute', "
        "last_error = 'no route' WHERE id = $1",
        ids[1],
    )
    await superuser.execute(
        "INSERT INTO projects.outbox_parked (id, shard, created_at, aggregate_id, attempts, last_error) "
        "SELECT id, shard, created_at, aggregate_id, 10, 'gave up' FROM projects.outbox_pending WHERE id = $1",
        ids[2],
    )
    await superuser.execute("DELETE FROM projects.outbox_pending WHERE id = ANY ($1)", ids[2:4])

    rows = await superuser.fetch("SELECT * FROM projects.outbox_events ORDER BY id")

    assert [row["status"] for row in rows] == ["PENDING", "FAILED", "PARKED", "COMPLETED", "PENDING"]
    assert (rows[1]["attempts"], rows[1]["last_error"]) == (2, "no route")
    assert rows[1]["next_attempt_at"] > utc_now()
    assert rows[2]["parked_at"] is not None


async def test_a_replayed_event_waits_again(sessions: Sessions, superuser: asyncpg.Connection) -> None:
    async with sessions.begin() as session:
        await outbox.add(session, a_project_created(), a_project_created())
    await superuser.execute("DELETE FROM projects.outbox_pending")
    ids = [row["id"] for row in await superuser.fetch("SELECT id FROM projects.outbox_event ORDER BY id")]

    assert await superuser.fetchval("SELECT projects.outbox_replay($1)", ids[:1]) == 1

    states = await superuser.fetch("SELECT status FROM projects.outbox_events ORDER BY id")
    assert [row["status"] for row in states] == ["PENDING", "COMPLETED"]


async def test_the_relay_role_may_touch_the_outbox_only(tables: FreshDatabase, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await outbox.add(session, a_project_created())
    relay = await asyncpg.connect(tables.settings("relay").postgres_dsn)

    assert await relay.fetchval("SELECT count(*) FROM projects.outbox_events") == 1
    assert await relay.fetchval("SELECT projects.outbox_ensure_partitions(3)") == 0
    assert await relay.execute("DELETE FROM projects.outbox_pending") == "DELETE 1"
    for refused in ("SELECT * FROM projects.inbox", "INSERT INTO projects.outbox_event (body) VALUES ('x')"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await relay.execute(refused)
    await relay.close()


async def test_commits_wake_the_relay_and_nothing_else_does(
    engine: AsyncEngine, sessions: Sessions, superuser: asyncpg.Connection
) -> None:
    heard: list[str] = []
    await superuser.add_listener("alta_outbox", lambda *notification: heard.append(notification[3]))
    wakeup = OutboxWakeup(engine, "projects")
    waking = Outbox("projects", wakeup)
    events = [a_project_created(), a_project_created()]

    async with sessions() as session:
        await waking.add(session, events[0])
        async with session.begin_nested():
            await waking.add(session, events[1])
        await superuser.execute("SELECT 1")
        assert heard == []
        await session.commit()
    shards = sorted({shard_of(event.aggregate_id) for event in events})
    await eventually(lambda: heard == [f"projects/shards/{','.join(map(str, shards))}"])

    async def upload() -> None:
        async with sessions.begin() as session:
            await waking.add(session, a_project_created())

    for _ in range(20):
        await upload()
    await eventually(lambda: len(heard) >= 2)
    assert len(heard) <= 21
    async with sessions.begin() as session:
        await waking.add(session, *(a_project_created() for _ in range(200)))
    # In all of them, most likely: then none is named.
    await eventually(lambda: heard[-1] == "projects")
    await wakeup.aclose()
