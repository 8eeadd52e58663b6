"""The outbox under test as its database sees it, reached anew each time: the server may have been crashed meanwhile."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from alta_common.contracts.event import MAX_EVENT_BYTES
from alta_common.contracts.projects import ProjectCreated
from alta_common.db.lost import CONNECTION_ERRORS
from alta_common.ids import new_id
from alta_common.outbox.table import create_outbox
from alta_common.outbox.writer import shard_of
from faults_database import Database
from faults_verdict import Written

SCHEMA = "projects"
UNHEARD = "projects.unheard.v1"
LATER = "later"
"""The name of events that are to go out later; all others have their number."""
_STALLED_SECONDS = 180

_INSERT = """
INSERT INTO projects.outbox_event
    (event_id, event_type, exchange, routing_key, aggregate_type, aggregate_id, shard, body, headers)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '{}') RETURNING id
"""

# Numbered within their aggregates in the order of ids, as those of writers.
_FILL = """
WITH wanted AS MATERIALIZED (
    SELECT n, gen_random_uuid() AS event_id, a.id AS aggregate_id, a.shard,
        (n - 1) / cardinality($2::uuid[]) + 1 AS number
    FROM generate_series(1, $1::integer) AS n
    JOIN unnest($2::uuid[], $3::smallint[]) WITH ORDINALITY AS a(id, shard, place)
      ON a.place = (n - 1) % cardinality($2::uuid[]) + 1
), numbered AS (
    UPDATE projects.fault_aggregate a SET last = w.last
    FROM (SELECT aggregate_id, max(number) AS last FROM wanted GROUP BY 1) w WHERE a.id = w.aggregate_id
)
INSERT INTO projects.outbox_event
    (event_id, event_type, exchange, routing_key, aggregate_type, aggregate_id, shard, body, headers)
SELECT event_id, $4, $5, $6, $7, aggregate_id, shard, convert_to(replace(replace(replace(
    $8, $9, event_id::text), $10, aggregate_id::text), $11, number::text), 'UTF8'), '{}'
FROM wanted ORDER BY n
"""

_WRITTEN = """
SELECT event_id, aggregate_id,
    CASE WHEN deliver_at IS NULL THEN (convert_from(body, 'UTF8')::jsonb #>> '{data,name}')::integer END AS number,
    extract(epoch FROM greatest(created_at, deliver_at))::float8 AS due_at
FROM projects.outbox_event
WHERE octet_length(body) <= $1 AND exchange = 'projects.events' AND routing_key <> $2 ORDER BY id
"""

# Not waiting any more, not parked, and not due. (Only among the last ones: it is asked often.)
_TOO_EARLY = """
SELECT e.event_id FROM projects.outbox_event e
WHERE e.deliver_at > clock_timestamp() AND e.id > (SELECT last_value FROM projects.outbox_event_id_seq) - 20000
  AND NOT EXISTS (SELECT FROM projects.outbox_pending p WHERE p.shard = e.shard AND p.id = e.id)
  AND NOT EXISTS (SELECT FROM projects.outbox_parked p WHERE p.id = e.id)
"""

_SESSIONS = """
SELECT a.pid FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.client_port = ANY ($1::integer[])
  AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory')
"""


@dataclass(frozen=True)
class Poison:
    """An event that cannot go out."""

    id: int
    event_id: UUID
    is_unheard: bool
    """Only nobody hears it: it can go out once somebody does."""


class OutboxDatabase(Database):
    """What the tests ask of it and do to it, as superuser."""

    async def create(self, aggregates: Sequence[UUID]) -> None:
        """Create the outbox and the aggregates' rows."""
        await self.execute_as(
            SCHEMA,
            *create_outbox(SCHEMA, "alta_relay"),
            "CREATE TABLE projects.fault_aggregate (id uuid PRIMARY KEY, last integer NOT NULL DEFAULT 0)",
        )
        await self.value("INSERT INTO projects.fault_aggregate (id) SELECT unnest($1::uuid[])", aggregates)

    async def fill(self, events: int, aggregates: Sequence[UUID]) -> None:
        """Write a backlog with one statement, as many events for one aggregate as for another."""
        event = ProjectCreated(project_id=new_id(), name="the number", created_by=new_id())
        names = (event.TYPE, event.EXCHANGE, event.ROUTING_KEY, event.AGGREGATE)
        replaced = (str(event.event_id), str(event.project_id), event.name)
        shards = [shard_of(aggregate) for aggregate in aggregates]
        await self.value(_FILL, events, aggregates, shards, *names, event.to_bytes().decode(), *replaced)

    async def pending(self, up_to: int | None = None) -> int:
        """Return how many events wait, of those up to an id."""
        return await self.value("SELECT count(*) FROM projects.outbox_pending WHERE id <= $1 OR $1 IS NULL", up_to)

    async def last_id(self) -> int:
        """Return the last id that was given to an event."""
        return await self.value("SELECT last_value FROM projects.outbox_event_id_seq")

    async def drained(self) -> None:
        """Return when nothing waits any more. Fails only when nothing has moved for minutes."""
        lowest, moved_at = None, time.monotonic()
        while True:
            asked_at = time.monotonic()
            try:
                waiting = await self.pending()
            except CONNECTION_ERRORS:
                waiting = lowest
            if waiting == 0:
                return
            if lowest is None or (waiting is not None and waiting < lowest):
                lowest, moved_at = waiting, time.monotonic()
            assert time.monotonic() < moved_at + _STALLED_SECONDS, f"{waiting} events wait and nothing moves"
            # Counting a million takes a while, and the relays need PostgreSQL more than we do.
            await asyncio.sleep(max(0.1, 5 * (time.monotonic() - asked_at)))

    async def written(self) -> list[Written]:
        """Return every good event that was committed, in the order of ids."""
        return [Written(*row) for row in await self.fetch(_WRITTEN, MAX_EVENT_BYTES, UNHEARD)]

    async def too_early(self) -> set[UUID]:
        """Return events that have gone out already, although their time has not come."""
        return {row["event_id"] for row in await self.fetch(_TOO_EARLY)}

    async def parked(self) -> set[UUID]:
        """Return the ids of parked events."""
        rows = await self.fetch(
            "SELECT e.event_id FROM projects.outbox_parked p JOIN projects.outbox_event e ON e.id = p.id"
        )
        return {row["event_id"] for row in rows}

    async def replay(self, ids: Sequence[int]) -> int:
        """Put events back in line, as the operators' tools do; return how many."""
        return await self.value("SELECT projects.outbox_replay($1)", list(ids))

    async def published(self, count: int) -> list[int]:
        """Return the ids of some events that have gone out."""
        rows = await self.fetch(
            "SELECT id FROM projects.outbox_events WHERE status = 'COMPLETED' ORDER BY id LIMIT $1", count
        )
        return [row["id"] for row in rows]

    async def sessions(self, ports: Sequence[int]) -> list[int]:
        """Return the sessions that own or share shards, of the process with these local ports."""
        return [row["pid"] for row in await self.fetch(_SESSIONS, ports)]

    async def poison(self, aggregate: UUID, kind: str) -> Poison:
        """Write what no service's writer would take: `exchange`, `unheard` or `size` is wrong with it."""
        event = ProjectCreated(project_id=aggregate, name="poison", created_by=new_id())
        exchange = "nobody.events" if kind == "exchange" else event.EXCHANGE
        routing_key = UNHEARD if kind == "unheard" else event.ROUTING_KEY
        body = b" " * (MAX_EVENT_BYTES + 1) if kind == "size" else event.to_bytes()
        place = (aggregate, shard_of(aggregate), body)
        async with self.connected() as connection, connection.transaction():
            # In its place among the aggregate's events, as everything else.
            await connection.execute("SELECT FROM projects.fault_aggregate WHERE id = $1 FOR UPDATE", aggregate)
            number = await connection.fetchval(
                _INSERT, event.event_id, event.TYPE, exchange, routing_key, event.AGGREGATE, *place
            )
        return Poison(number, event.event_id, kind == "unheard")
