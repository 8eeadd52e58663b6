"""Outboxes with their audit trail, a broker with its queues, and an operator's client of both."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import aio_pika
import asyncpg
import httpx
import orjson
import pytest
from aiormq.abc import ChannelFrame
from fastapi import FastAPI
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from alta_common.audit import AuditTrail, create_audit
from alta_common.audit.table import grant_recording
from alta_common.clock import to_rfc3339, utc_now
from alta_common.contracts.projects import ProjectCreated
from alta_common.db.engine import create_engine, create_sessions
from alta_common.ids import new_id
from alta_common.messaging.topology import QUEUES, declare_topology
from alta_common.outbox import Outbox
from alta_common.outbox.table import create_outbox
from alta_common.outbox.writer import shard_of
from alta_common.telemetry.context import bind_request
from alta_common.telemetry.logs import setup_logs
from alta_common.testing import eventually
from alta_common.testing.postgres import DatabaseMaker, FreshDatabase
from alta_common.testing.rabbitmq import Management
from alta_common.testing.servers import Servers
from alta_common.testing.tokens import TokenMaker
from alta_outbox_relay.admin import create_app
from alta_outbox_relay.application.audit import OperationsAudit
from alta_outbox_relay.application.dead_letters import DeadLetterOperations
from alta_outbox_relay.application.queue_watch import QueueWatch
from alta_outbox_relay.settings import AdminSettings
from alta_outbox_relay.wiring import Operations, create_operations

SCHEMAS = ("identity", "projects")
_OUTBOX = ("outbox_event", "outbox_pending", "outbox_parked")
WRITE = {"role": "admin", "scopes": "admin:read admin:write"}


@pytest.fixture(autouse=True)
def _logs() -> None:
    setup_logs("outbox-admin", "ERROR")


async def _create_tables(database: FreshDatabase) -> None:
    statements = {schema: create_outbox(schema, "alta_relay") for schema in SCHEMAS}
    statements["identity"] += [*create_audit("identity"), *grant_recording("identity", "alta_relay")]
    for schema in SCHEMAS:
        connection = await asyncpg.connect(database.settings(schema).postgres_dsn)
        for statement in statements[schema]:
            await connection.execute(statement)
        await connection.close()


@pytest.fixture(scope="session")
def filled_once(database_maker: DatabaseMaker) -> Iterator[FreshDatabase]:
    """One database for all tests here: emptying it takes a fraction of the time that making one does."""
    made = asyncio.run(database_maker.create())
    asyncio.run(_create_tables(made))
    yield made
    asyncio.run(database_maker.drop(made))


@pytest.fixture
async def outboxes(filled_once: FreshDatabase) -> FreshDatabase:
    names = [f"{schema}.{table}" for schema in SCHEMAS for table in _OUTBOX]
    names += ["identity.audit_log", "identity.audit_head"]
    connection = await asyncpg.connect(filled_once.superuser_dsn)
    # As a replica would: the triggers refuse TRUNCATE to everybody else.
    await connection.execute(f"SET session_replication_role = replica; TRUNCATE {', '.join(names)}")
    await connection.close()
    return filled_once


@pytest.fixture(scope="session")
def queues_once(servers: Servers) -> Iterator[str]:
    """One virtual host for all tests here, with its queues; declaring them takes seconds."""

    async def make() -> str:
        management = Management(servers.broker)
        url = management.new_vhost_url()
        await management.create_vhost(url)
        await management.aclose()
        await declare_topology(url)
        return url

    async def drop(url: str) -> None:
        management = Management(servers.broker)
        await management.delete_vhost(url)
        await management.aclose()

    url = asyncio.run(make())
    yield url
    asyncio.run(drop(url))


class Broker:
    """What lies in the queues, and a way to put something there."""

    def __init__(self, url: str, connection: aio_pika.abc.AbstractConnection) -> None:
        self.url = url
        self._connection = connection

    async def empty(self) -> None:
        channel = await self._connection.channel()
        for name in QUEUES:
            for queue in (name, f"{name}.dead"):
                await (await channel.get_queue(queue, ensure=False)).purge()
        await channel.close()

    async def bury(self, queue: str, body: bytes = b"{}", **about: Any) -> None:
        """Put a message among the dead letters of a work queue."""
        channel = await self._connection.channel(publisher_confirms=True)
        message = aio_pika.Message(body, **about)
        await channel.default_exchange.publish(message, f"{queue}.dead")
        await channel.close()

    async def bury_undecodable(self, queue: str, message_id: str) -> None:
        """Put a message there that no client library lets one write: its timestamp counts microseconds."""
        moment = datetime.fromtimestamp(1_700_000_000, UTC)
        # With a priority of 0, as what the client library writes: else RabbitMQ 4.3 puts it before that.
        properties = commands.Basic.Properties(
            message_id=message_id, message_type="PROJECT_CREATED", timestamp=moment, priority=0
        )
        frames = (
            commands.Basic.Publish(exchange="", routing_key=f"{queue}.dead"),
            ContentHeader(body_size=2, properties=properties),
            ContentBody(b"{}"),
        )
        before = await self.count(f"{queue}.dead")
        channel = await self._connection.channel()
        raw = await channel.get_underlay_channel()
        written = b"".join(marshal(frame, raw.number) for frame in frames)
        seconds, microseconds = (struct.pack(">Q", 1_700_000_000 * factor) for factor in (1, 1_000_000))
        await raw.write_queue.put(ChannelFrame(written.replace(seconds, microseconds), False, None))
        await eventually(lambda: self._has_more_than(before, f"{queue}.dead"))
        await channel.close()

    async def _has_more_than(self, before: int, queue: str) -> bool:
        return await self.count(queue) > before

    async def bury_event(self, queue: str = "ocr_queue", *, reason: str = "handler_timeout", **about: Any) -> str:
        """Put an event there as a consumer does; return its id."""
        event = ProjectCreated(project_id=new_id(), name=about.pop("name", "Letters"), created_by=new_id())
        headers = {
            "x-alta-reason": reason,
            "x-alta-error": "HandlerTimeoutError: it took more than 60 s",
            "x-alta-failed-at": about.pop("failed_at", to_rfc3339(utc_now() - timedelta(hours=2))),
            "x-alta-attempt": 3,
            "x-alta-exchange": "projects.events",
            "x-alta-routing-key": event.ROUTING_KEY,
            "x-alta-queue": queue,
            "cloudEvents:type": event.TYPE,
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        }
        about = {"message_id": str(event.event_id), "type": event.TYPE, "headers": headers, **about}
        await self.bury(queue, event.to_bytes(), content_type="application/cloudevents+json", **about)
        return str(event.event_id)

    async def wear_out(self, queue: str, **about: Any) -> None:
        """Put a message into a work queue and hand it back as often as the broker allows; it moves it away itself."""
        channel = await self._connection.channel(publisher_confirms=True)
        await channel.default_exchange.publish(aio_pika.Message(b"{}", **about), queue)
        asked = await channel.get_queue(queue, ensure=False)
        while not await self.count(f"{queue}.dead"):
            if message := await asked.get(fail=False):
                # Not a nack: from RabbitMQ 4.3 on that does not count.
                await message.reject(requeue=True)
        await channel.close()

    async def take(self, queue: str) -> list[aio_pika.abc.AbstractIncomingMessage]:
        """Take all messages out of a queue."""
        channel = await self._connection.channel()
        found = []
        asked = await channel.get_queue(queue, ensure=False)
        while message := await asked.get(no_ack=True, fail=False):
            found.append(message)
        await channel.close()
        return found

    async def forget(self, *queues: str, exchange: str) -> None:
        """Delete queues and an exchange."""
        channel = await self._connection.channel()
        for queue in queues:
            await channel.queue_delete(queue)
        await channel.exchange_delete(exchange)
        await channel.close()

    async def count(self, queue: str) -> int:
        channel = await self._connection.channel()
        declared = await channel.declare_queue(queue, passive=True)
        await channel.close()
        return int(declared.declaration_result.message_count or 0)


@pytest.fixture
async def broker(queues_once: str) -> AsyncIterator[Broker]:
    async with await aio_pika.connect(queues_once) as connection:
        broker = Broker(queues_once, connection)
        await broker.empty()
        yield broker


class Written:
    """Events in the outboxes, as services write them, and what the database says of them."""

    def __init__(self, database: FreshDatabase, connection: asyncpg.Connection) -> None:
        self.database = database
        self.connection = connection

    async def write(self, *names: str, schema: str = "projects", project_id: UUID | None = None) -> list[str]:
        """Write an event for each name; return their ids."""
        events = [ProjectCreated(project_id=project_id or new_id(), name=name, created_by=new_id()) for name in names]
        engine = create_engine(self.database.settings(schema), application_name="tests")
        with bind_request("request-1"):
            async with create_sessions(engine).begin() as session:
                await Outbox(schema).add(session, *events)
        await engine.dispose()
        return [str(event.event_id) for event in events]

    async def complete(self, *event_ids: str, schema: str = "projects") -> None:
        """Strike events out, as a relay does once they are confirmed."""
        await self._execute("DELETE FROM {s}.outbox_pending WHERE id IN {ids}", event_ids, schema)

    async def fail(self, *event_ids: str, schema: str = "projects") -> None:
        """Note a failed attempt; the next one is due in an hour."""
        changes = "attempts = 1, due_at = now() + interval '1 hour', last_error = 'no queue takes it'"
        await self._execute(f"UPDATE {{s}}.outbox_pending SET {changes} WHERE id IN {{ids}}", event_ids, schema)

    async def park(self, *event_ids: str, schema: str = "projects") -> None:
        """Give events up, as a relay does."""
        gone = "WITH gone AS (DELETE FROM {s}.outbox_pending WHERE id IN {ids} RETURNING *)"
        kept = "INSERT INTO {s}.outbox_parked SELECT id, shard, created_at, aggregate_id, 11, 'unroutable' FROM gone"
        await self._execute(f"{gone} {kept}", event_ids, schema)

    async def write_with_key(self, routing_key: str, project_id: UUID, headers: str = "{}") -> str:
        """Write an event with a routing key (and headers) that no service could give it; return its id."""
        event = ProjectCreated(project_id=project_id, name="raw", created_by=new_id())
        values = (event.event_id, event.TYPE, event.EXCHANGE, routing_key, event.AGGREGATE, project_id)
        names = "event_id, event_type, exchange, routing_key, aggregate_type, aggregate_id, shard, body, headers"
        statement = f"INSERT INTO projects.outbox_event ({names}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        await self.connection.execute(statement, *values, shard_of(project_id), event.to_bytes(), headers)
        return str(event.event_id)

    async def nothing_waits(self) -> bool:
        return await self.connection.fetchval("SELECT count(*) FROM projects.outbox_pending") == 0

    async def states(self, schema: str = "projects") -> dict[str, str]:
        rows = await self.connection.fetch(f"SELECT event_id, status FROM {schema}.outbox_events ORDER BY id")
        return {str(row["event_id"]): row["status"] for row in rows}

    async def audit(self) -> list[dict[str, Any]]:
        rows = await self.connection.fetch("SELECT * FROM identity.audit_log ORDER BY id")
        return [{**row, "details": orjson.loads(row["details"])} for row in rows]

    async def audit_is_intact(self) -> bool:
        engine = create_engine(self.database.settings("identity"), application_name="tests")
        async with create_sessions(engine)() as session:
            found = await AuditTrail("identity").verify(session, None)
        await engine.dispose()
        return found.intact

    async def _execute(self, statement: str, event_ids: tuple[str, ...], schema: str) -> None:
        ids = "(SELECT id FROM {s}.outbox_event WHERE event_id = ANY($1))"
        await self.connection.execute(statement.replace("{ids}", ids).replace("{s}", schema), list(event_ids))


@pytest.fixture
async def written(outboxes: FreshDatabase) -> AsyncIterator[Written]:
    connection = await asyncpg.connect(outboxes.superuser_dsn)
    yield Written(outboxes, connection)
    await connection.close()


@pytest.fixture
async def operations(outboxes: FreshDatabase, queues_once: str) -> AsyncIterator[Operations]:
    settings = AdminSettings(**outboxes.settings("relay").model_dump(), rabbitmq_url=queues_once)
    operations = create_operations(settings, "outbox-admin")
    # However busy this machine is: whoever waits for a queue gets it.
    patient = DeadLetterOperations(
        queues_once, create_sessions(operations.engine), OperationsAudit(AuditTrail("identity")), patience=200
    )
    yield replace(operations, dead_letters=patient)
    await operations.aclose()


@dataclass
class Admin:
    """A client of the application in this process, with a token of somebody."""

    app: FastAPI
    tokens: TokenMaker
    user_id: UUID

    def client(self, **about: Any) -> httpx.AsyncClient:
        """Return a client whose token says this; one without a token when it says nothing."""
        headers = self.tokens.headers(self.user_id, **about) if about else {}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url="http://operations.test", headers=headers
        )


@pytest.fixture
def admin(operations: Operations) -> Admin:
    tokens = TokenMaker()
    return Admin(create_app(operations, tokens.verifier(), QueueWatch(operations.queues, 3600)), tokens, new_id())


@pytest.fixture
async def api(admin: Admin) -> AsyncIterator[httpx.AsyncClient]:
    """A platform admin's client."""
    async with admin.client(**WRITE) as client:
        yield client


@pytest.fixture
def environment(outboxes: FreshDatabase, queues_once: str) -> dict[str, str]:
    """The relay's environment, as a command line finds it."""
    return {**outboxes.environment("relay"), "RABBITMQ_URL": queues_once}
