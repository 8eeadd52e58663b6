"""The stage that the relay is measured on: servers of its own, an outbox as migrations make it, relay processes."""

import asyncio
import contextlib
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import asyncpg
import httpx
from aio_pika.abc import AbstractChannel

from alta_common.contracts.projects import ProjectCreated
from alta_common.ids import new_id
from alta_common.messaging.topology import EMAIL_QUEUE, declare_topology
from alta_common.outbox.headers import stored_headers
from alta_common.outbox.locks import MEMBER, lock_class
from alta_common.outbox.table import SHARDS
from alta_common.outbox.writer import shard_of
from alta_common.testing import eventually
from alta_common.testing.postgres import DatabaseMaker, FreshDatabase
from alta_stack.infra import Infra, start_infra
from alta_stack.processes import free_ports, last_lines
from alta_stack.settings import CHECKOUT, environment
from figures import cpu_seconds_of_family

SCHEMA = "projects"
MIGRATIONS = [(schema, CHECKOUT / f"services/{schema}/migrations") for schema in ("identity", "projects")]
EVENT_BYTES = 1024
QUEUE = EMAIL_QUEUE
"""The quorum queue that hears `PROJECT_CREATED`."""

_SHORTEST_LOOK = 0.01
_LONGEST_LOOK = 1.0
_PATIENCE = 120

_BACKLOG = f"""
WITH wanted AS MATERIALIZED (
    SELECT n, gen_random_uuid() AS event_id, floor(random() * (SELECT count(*) FROM public.aggregate))::int AS number
    FROM generate_series(1, $1::integer) AS n
)
INSERT INTO {SCHEMA}.outbox_event (event_id, event_type, exchange, routing_key, aggregate_type, aggregate_id, shard,
    body, headers, correlation_id)
SELECT w.event_id, '{ProjectCreated.TYPE}', '{ProjectCreated.EXCHANGE}', '{ProjectCreated.ROUTING_KEY}',
    '{ProjectCreated.AGGREGATE}', a.id, a.shard,
    convert_to(replace(replace($4, $2, w.event_id::text), $3, a.id::text), 'UTF8'),
    replace(replace($5, $2, w.event_id::text), $3, a.id::text)::jsonb, $2
FROM wanted w JOIN public.aggregate a ON a.number = w.number
ORDER BY w.n
"""

_OWNERS = """
SELECT pid, count(*) FILTER (WHERE objid <> $2::integer) AS shards FROM pg_catalog.pg_locks
WHERE locktype = 'advisory' AND objsubid = 2 AND classid = $1::bigint::oid AND granted
  AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
GROUP BY pid
"""


@contextmanager
def servers() -> Iterator[Infra]:
    """Start PostgreSQL, with fsync and everything else as it comes, and RabbitMQ; delete them afterwards."""
    with tempfile.TemporaryDirectory(prefix="alta-bench-") as folder:
        infra = start_infra(Path(folder), redis=False)
        try:
            yield infra
        finally:
            infra.discard()


@dataclass(frozen=True)
class Stage:
    """Running servers, a database with the schema of projects, and a channel to look at the queue through."""

    infra: Infra
    database: FreshDatabase
    superuser: asyncpg.Connection
    channel: AbstractChannel

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU time so far of each server."""
        return {name: cpu_seconds_of_family(pid) for name, pid in self.infra.pids.items()}

    async def empty(self) -> None:
        """Forget all events and messages."""
        async with self.superuser.transaction():
            # Passes by the trigger that refuses it.
            await self.superuser.execute("SET LOCAL session_replication_role = replica")
            await self.superuser.execute(f"TRUNCATE {SCHEMA}.outbox_event, {SCHEMA}.outbox_pending")
        queue = await self.channel.get_queue(QUEUE, ensure=False)
        await queue.purge()

    async def queued(self) -> int:
        """Return how many messages the queue holds."""
        queue = await self.channel.declare_queue(QUEUE, passive=True)
        return int(queue.declaration_result.message_count or 0)

    async def pending(self) -> bool:
        """Say whether any event still waits."""
        return bool(await self.superuser.fetchval(f"SELECT EXISTS (SELECT FROM {SCHEMA}.outbox_pending)"))

    async def arrived(self, count: int) -> None:
        """Return when the queue has had so many messages and the outbox holds none any more."""
        begun = time.perf_counter()
        while (queued := await self.queued()) < count or await self.pending():
            # Few looks, for each costs the broker a little: half of the time that is left, as it seems.
            passed = time.perf_counter() - begun
            left = passed * max(0, count - queued) / (queued + 1)
            await asyncio.sleep(min(max(_SHORTEST_LOOK, left / 2), _LONGEST_LOOK))

    @asynccontextmanager
    async def backlog(self, count: int, aggregates: int) -> AsyncIterator[None]:
        """Write events of 1 KB that relays will see at the end of the block."""
        await self._name_aggregates(aggregates)
        writer = await asyncpg.connect(self.database.superuser_dsn)
        try:
            async with writer.transaction():
                event = ProjectCreated(project_id=new_id(), name="", created_by=new_id())
                body, headers = _template(event)
                await writer.execute(_BACKLOG, count, str(event.event_id), str(event.project_id), body, headers)
                yield
        finally:
            await writer.close()

    async def tidy(self) -> None:
        """Do now what PostgreSQL would do by itself at some time, perhaps while something is being measured."""
        await self.superuser.execute(f"ANALYZE {SCHEMA}.outbox_event, {SCHEMA}.outbox_pending")
        await self.superuser.execute("CHECKPOINT")

    async def wake(self) -> None:
        """Send relays what a committing service sends."""
        await self.superuser.execute("SELECT pg_notify('alta_outbox', $1)", SCHEMA)

    async def _name_aggregates(self, count: int) -> None:
        ids = [new_id() for _ in range(count)]
        rows = [(number, aggregate_id, shard_of(aggregate_id)) for number, aggregate_id in enumerate(ids)]
        await self.superuser.execute("DROP TABLE IF EXISTS public.aggregate")
        await self.superuser.execute("CREATE TABLE public.aggregate (number integer, id uuid, shard smallint)")
        await self.superuser.copy_records_to_table("aggregate", schema_name="public", records=rows)
        await self.superuser.execute("ANALYZE public.aggregate")


@asynccontextmanager
async def stage_on(infra: Infra) -> AsyncIterator[Stage]:
    """Set the stage on running servers."""
    await declare_topology(infra.amqp_url)
    maker = DatabaseMaker(infra.postgres_dsn)
    database = await maker.create(MIGRATIONS)
    superuser = await asyncpg.connect(database.superuser_dsn)
    async with await aio_pika.connect(infra.amqp_url) as connection:
        try:
            yield Stage(infra, database, superuser, await connection.channel())
        finally:
            await superuser.close()


@dataclass(frozen=True)
class Relay:
    """A running relay process."""

    process: asyncio.subprocess.Process
    port: int
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def ready(self) -> None:
        """Return when it has all that it needs: its database and the broker. Raises `RuntimeError` when it ends."""
        getting = asyncio.ensure_future(eventually(self._is_ready, within=_PATIENCE))
        ending = asyncio.ensure_future(self.process.wait())
        await asyncio.wait({getting, ending}, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            getting.cancel()
            raise RuntimeError(f"the relay has ended: {last_lines(self.log)}")
        ending.cancel()
        await getting

    async def _is_ready(self) -> bool:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"http://127.0.0.1:{self.port}/health/ready")).is_success


@asynccontextmanager
async def relays(stage: Stage, count: int = 1, *, profile: Path | None = None) -> AsyncIterator[list[Relay]]:
    """Run relay processes as operators do; they have shared out the shards when the block begins.

    With `profile` the first of them runs under cProfile, which makes it slower, and leaves its statistics there.
    """
    started: list[Relay] = []
    try:
        started.append(await _start(stage, profile))
        while len(started) < count:
            started.append(await _start(stage, None))
        for relay in started:
            await relay.ready()
        await eventually(lambda: _shared(stage, count), within=_PATIENCE)
        yield started
    finally:
        for relay in started:
            with contextlib.suppress(ProcessLookupError):
                relay.process.terminate()
        for relay in started:
            await relay.process.wait()


async def _start(stage: Stage, profile: Path | None) -> Relay:
    (port,) = free_ports(1)
    variables = {
        **environment(),
        **stage.database.environment("relay"),
        "RABBITMQ_URL": stage.infra.amqp_url,
        "INTERNAL_PORT": str(port),
    }
    under = ["-m", "cProfile", "-o", str(profile)] if profile else []
    path = stage.infra.folder / f"relay-{port}.log"
    with path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *under, "-m", "alta_outbox_relay.main", env=variables, stdout=log, stderr=log
        )
    return Relay(process, port, path)


async def _shared(stage: Stage, relay_count: int) -> bool:
    owners = await stage.superuser.fetch(_OWNERS, lock_class(SCHEMA), MEMBER)
    shards = sorted(row["shards"] for row in owners)
    return len(shards) == relay_count and sum(shards) == SHARDS and shards[-1] - shards[0] <= 1


def _template(event: ProjectCreated) -> tuple[str, str]:
    """Return body and headers of an event of 1 KB as a traced request would write it."""
    trace = {"correlation_id": str(new_id()), "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}
    missing = EVENT_BYTES - len(event.to_bytes(**trace))
    event = event.model_copy(update={"name": _words(missing)})
    headers = stored_headers(event.envelope(**trace))
    pairs = ", ".join(f'"{name}": "{value}"' for name, value in headers.items())
    return event.to_bytes(**trace).decode(), f"{{{pairs}}}"


def _words(length: int) -> str:
    """Return text that is so long."""
    source = re.sub(r"[^a-z]+", " ", Path(__file__).read_text(encoding="utf-8").lower())
    return source[:length]
