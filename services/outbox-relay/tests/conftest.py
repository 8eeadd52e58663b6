import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

import aio_pika
import asyncpg
import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.contracts.event import Event
from alta_common.contracts.projects import ProjectCreated
from alta_common.db.engine import Sessions, create_engine, create_sessions
from alta_common.ids import new_id
from alta_common.messaging.topology import declare_topology
from alta_common.outbox import Outbox
from alta_common.outbox.table import create_outbox
from alta_common.outbox.writer import shard_of
from alta_common.testing import eventually
from alta_common.testing.postgres import FreshDatabase
from alta_outbox_relay.policy import RelayPolicy
from alta_outbox_relay.publisher import Publisher
from alta_outbox_relay.relay import SchemaRelay
from alta_outbox_relay.session import OutboxSession

SCHEMA = "projects"


async def create_tables(database: FreshDatabase) -> None:
    connection = await asyncpg.connect(database.settings(SCHEMA).postgres_dsn)
    try:
        async with connection.transaction():
            for statement in create_outbox(SCHEMA, "alta_relay"):
                await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def tables(database: FreshDatabase) -> FreshDatabase:
    await create_tables(database)
    return database


@pytest.fixture
async def engine(database: FreshDatabase) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database.settings(SCHEMA), application_name="tests")
    yield engine
    await engine.dispose()


@dataclass
class Writer:
    """Writes events as a service does, and in ways that no service could."""

    database: FreshDatabase
    sessions: Sessions
    superuser: asyncpg.Connection
    outbox: Outbox = field(default_factory=lambda: Outbox(SCHEMA))

    def event(self, name: str = "Letters", project_id: UUID | None = None) -> ProjectCreated:
        return ProjectCreated(project_id=project_id or new_id(), name=name, created_by=new_id())

    async def write(self, *events: Event, **options: Any) -> None:
        async with self.sessions.begin() as session:
            await self.outbox.add(session, *events, **options)

    async def write_raw(self, **changes: Any) -> int:
        """Insert an event by SQL, with columns that the writer would refuse."""
        event = self.event(changes.pop("name", "raw"), changes.pop("aggregate_id", None))
        values = {
            "event_id": event.event_id,
            "event_type": event.TYPE,
            "exchange": event.EXCHANGE,
            "routing_key": event.ROUTING_KEY,
            "aggregate_type": event.AGGREGATE,
            "aggregate_id": event.aggregate_id,
            "shard": shard_of(event.aggregate_id),
            "body": event.to_bytes(),
            "headers": "{}",
        } | changes
        columns, places = ", ".join(values), ", ".join(f"${number}" for number in range(1, len(values) + 1))
        statement = f"INSERT INTO projects.outbox_event ({columns}) VALUES ({places}) RETURNING id"
        return int(await self.superuser.fetchval(statement, *values.values()))

    async def states(self) -> list[str]:
        rows = await self.superuser.fetch("SELECT status FROM projects.outbox_events ORDER BY id")
        return [row["status"] for row in rows]

    async def create_tables(self) -> None:
        await create_tables(self.database)

    async def is_empty(self) -> bool:
        return await self.superuser.fetchval("SELECT count(*) FROM projects.outbox_pending") == 0


@pytest.fixture
async def writer(engine: AsyncEngine, database: FreshDatabase) -> AsyncIterator[Writer]:
    superuser = await asyncpg.connect(database.superuser_dsn)
    yield Writer(database, create_sessions(engine), superuser)
    await superuser.close()


@dataclass
class Observed:
    """A queue of the test's own beside the topology's; it outlives connections."""

    url: str
    messages: list[Any] = field(default_factory=list)

    async def bind(self) -> None:
        async with await aio_pika.connect(self.url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("observed", durable=True)
            await queue.bind("projects.events", "projects.project.#")

    async def bind_also(self, routing_key: str) -> None:
        async with await aio_pika.connect(self.url) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue("observed")
            await queue.bind("projects.events", routing_key)

    async def take(self) -> list[Any]:
        """Take what has arrived since the last time; return all messages so far."""
        async with await aio_pika.connect(self.url) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue("observed")
            while message := await queue.get(no_ack=True, fail=False):
                self.messages.append(message)
        return self.messages

    async def count(self) -> int:
        """Return how many messages lie in the queue, without taking them."""
        async with await aio_pika.connect(self.url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("observed", passive=True)
            return int(queue.declaration_result.message_count or 0)

    async def names(self) -> list[str]:
        return [orjson.loads(message.body)["data"]["name"] for message in await self.take()]


@pytest.fixture
async def observed(rabbitmq_url: str) -> Observed:
    await declare_topology(rabbitmq_url)
    observed = Observed(rabbitmq_url)
    await observed.bind()
    return observed


POLICY = RelayPolicy(batch_size=500, window=300, poll_seconds=0.05, max_retries=2, retry_seconds=0.02)

StartRelay = Callable[..., Any]


@asynccontextmanager
async def relaying(database: FreshDatabase, url: str, policy: RelayPolicy = POLICY) -> AsyncIterator[SchemaRelay]:
    """Run a relay in this process."""
    publisher = Publisher(url)
    connect = partial(OutboxSession.open, database.settings("relay"), SCHEMA)
    relay = SchemaRelay(SCHEMA, connect, publisher, policy)
    tasks = [asyncio.ensure_future(publisher.run()), asyncio.ensure_future(relay.run())]
    try:
        yield relay
        relay.stop()
        await asyncio.wait_for(tasks[1], 60)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def run_relay(database: FreshDatabase, observed: Observed) -> StartRelay:
    """Runs a relay on the test's database and broker (or at `url`), with the changes to its policy that are given."""
    return lambda url=observed.url, **changes: relaying(database, url, replace(POLICY, **changes))


@pytest.fixture
async def relay(tables: FreshDatabase, observed: Observed) -> AsyncIterator[SchemaRelay]:
    async with relaying(tables, observed.url) as relay:
        yield relay


class RelayProcess:
    """The relay as operators start it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self.process: asyncio.subprocess.Process | None = None
        self.lines: list[dict[str, Any]] = []
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "alta_outbox_relay.main", env=self._environment, stdout=asyncio.subprocess.PIPE
        )
        self._reading = asyncio.ensure_future(self._read(self.process))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.lines.append(json.loads(line))

    def said(self, event: str) -> dict[str, Any] | None:
        return next((line for line in self.lines if line.get("event") == event), None)

    async def serving(self) -> None:
        await eventually(lambda: self.said("outbox.serving"))

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit status."""
        assert self.process is not None
        assert self._reading is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        status = await asyncio.wait_for(self.process.wait(), 60)
        await self._reading
        return status


@pytest.fixture
async def start_process(tables: FreshDatabase, observed: Observed) -> AsyncIterator[StartRelay]:
    """Starts the relay as a process of its own; it is killed with the test."""
    async with AsyncExitStack() as stack:

        async def start(**settings: str) -> RelayProcess:
            environment = {
                **tables.environment("relay"),
                "PATH": os.environ["PATH"],
                "RABBITMQ_URL": observed.url,
                "INTERNAL_PORT": "0",
                "OUTBOX_SCHEMAS": SCHEMA,
                "PYTHONUNBUFFERED": "1",
                **settings,
            }
            process = RelayProcess(environment)
            await process.start()
            stack.push_async_callback(process.end, signal.SIGKILL)
            return process

        yield start
