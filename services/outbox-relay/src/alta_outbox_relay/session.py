"""The relay's connection to one outbox.

Ownership of shards, the marks that the view reads, and all reading and deleting hang on one PostgreSQL session:
who has lost it owns nothing any more and cannot delete anything either.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import asyncpg
import orjson
from asyncpg.prepared_stmt import PreparedStatement

from alta_common.db.lost import CONNECTION_ERRORS
from alta_common.db.names import in_schema
from alta_common.outbox.locks import fetched_key
from alta_common.outbox.table import SHARDS
from alta_common.outbox.wakeup import CHANNEL
from alta_common.settings import PostgresSettings
from alta_outbox_relay import sql
from alta_outbox_relay.event import Backlog, Failure, PendingEvent

SESSION_ERRORS = CONNECTION_ERRORS

COUNTED = 10_000
"""The depth up to which `backlog` counts."""

_SERVER_SETTINGS = {
    # What is lost in a crash are deletions, and those only make duplicates.
    "synchronous_commit": "off",
    # The pending table may have grown from nothing to a million rows since it was last analysed. Every query here is
    # meant to walk an index, whatever the statistics say, and its plan is made once.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_memoize": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    # A relay whose machine is gone must not own its shards for the two hours that TCP would take to notice.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}


class OutboxSession:
    """One PostgreSQL session on the outbox of `schema`. One thing at a time; methods raise `SESSION_ERRORS`."""

    def __init__(self, connection: asyncpg.Connection, schema: str) -> None:
        self.schema = schema
        self.lost = asyncio.Event()
        self.alive_at = time.monotonic()
        """When the last statement was sent that has been answered (`time.monotonic`): then this session was ours."""
        self._connection = connection
        self._prepared: dict[str, PreparedStatement[asyncpg.Record]] = {}
        self._shown: set[int] = set()
        connection.add_termination_listener(lambda _: self.lost.set())

    @classmethod
    async def open(cls, settings: PostgresSettings, schema: str, name: str = "outbox-relay") -> Self:
        """Connect."""
        connection = await asyncpg.connect(
            settings.postgres_dsn,
            timeout=5,
            command_timeout=30,
            server_settings=_SERVER_SETTINGS | {"application_name": f"{name}-{schema}"},
        )
        # As they are read, into what the event has: so a row is an event already.
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=orjson.loads, format="text")
        return cls(connection, schema)

    async def close(self) -> None:
        """Disconnect, which gives back everything that was owned."""
        try:
            await self._connection.close(timeout=5)
        except SESSION_ERRORS:
            self._connection.terminate()

    def abort(self) -> None:
        """Drop the connection without a word."""
        self._connection.terminate()

    async def listen(self, hear: Callable[[str], None]) -> None:
        """Have `hear` called with the payload of each wake-up."""
        await self._connection.add_listener(CHANNEL, lambda *notification: hear(str(notification[-1])))

    async def fetch(self, wanted: Sequence[tuple[int, int, int]], known: Iterable[int] = ()) -> list[PendingEvent]:
        """Return events that wait for nothing but their turn, in the order of ids within a shard.

        `wanted` are shards, each with the id after which to begin and how many to return at the most. Events with
        `known` ids are passed over, and so are those behind a failed one of their aggregate.
        """
        shards, after, limits = zip(*wanted, strict=True)
        rows = await self.ask(sql.FETCH, shards, after, limits, list(known))
        return [PendingEvent._make(row) for row in rows]

    async def fetch_these(self, ids: Sequence[tuple[int, int]]) -> list[PendingEvent]:
        """Return events by shard and id, as far as they still wait."""
        shards, numbers = zip(*ids, strict=True)
        rows = await self.ask(sql.FETCH_THESE, shards, numbers)
        return [PendingEvent._make(row) for row in rows]

    async def look(self, ranges: Sequence[tuple[int, int, int, int]]) -> list[tuple[int, int]]:
        """Return shard and id of what may go out in these ranges, and of what is due.

        `ranges` are shards, each with the ids after which to begin and up to which to look, and how many of either
        kind to return at the most.
        """
        rows = await self.ask(sql.LOOK, *zip(*ranges, strict=True))
        return [(row[0], row[1]) for row in rows]

    async def first_pending(self, marks: Sequence[tuple[int, int]]) -> dict[int, int | None]:
        """Return each shard's first id above its mark that waits for nothing but its turn."""
        rows = await self.ask(sql.FIRST_PENDING, [shard for shard, _ in marks], [low for _, low in marks])
        return {row["shard"]: row["first"] for row in rows}

    async def last_id(self) -> int:
        """Return the last id that was handed out to any writer, committed or not."""
        return int((await self.ask(sql.LAST_ID))[0][0])

    async def writers(self) -> frozenset[str]:
        """Return the transactions that have written events and have not ended."""
        rows = await self.ask(sql.WRITERS, f"{self.schema}.outbox_event")
        return frozenset(row["virtualtransaction"] for row in rows)

    async def show_fetched(self, highest: Mapping[int, int]) -> None:
        """Let the view say PROCESSING up to these ids of their shards, until told otherwise or the session ends."""
        wanted = {fetched_key(self.schema, shard, last) for shard, last in highest.items()}
        if wanted != self._shown:
            await self.ask(sql.MOVE_KEYS, list(wanted - self._shown), list(self._shown - wanted))
            self._shown = wanted

    async def delete(self, events: Sequence[PendingEvent]) -> None:
        """Strike out what was confirmed."""
        await self.ask(sql.DELETE, [event.shard for event in events], [event.id for event in events])

    async def postpone(self, failures: Sequence[Failure], seconds: Sequence[float]) -> None:
        """Count an attempt of each that failed; the next one is due in so many `seconds`."""
        await self.ask(sql.POSTPONE, *_ids(failures), seconds, [failure.reason for failure in failures])

    async def park(self, failures: Sequence[Failure]) -> None:
        """Give events up until a person acts."""
        await self.ask(sql.PARK, *_ids(failures), [failure.reason for failure in failures])

    async def backlog(self) -> Backlog:
        """Count what waits, or estimate it when it is much."""
        (row,) = await self.ask(sql.BACKLOG, COUNTED, SHARDS)
        return Backlog(row["depth"], row["parked"], float(row["oldest_seconds"]))

    async def tend_partitions(self, days_ahead: int, days_kept: int) -> tuple[int, int]:
        """Make partitions ahead and drop old ones; return how many of each."""
        made = await self.ask(sql.ENSURE_PARTITIONS, days_ahead)
        return made[0][0], (await self.ask(sql.DROP_PARTITIONS, days_kept))[0][0]

    async def ask(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Return the rows of one of the statements in `sql`."""
        prepared = self._prepared.get(statement)
        if prepared is None:
            prepared = await self._connection.prepare(in_schema(statement, self.schema))
            self._prepared[statement] = prepared
        asked_at = time.monotonic()
        rows = await prepared.fetch(*values)
        self.alive_at = asked_at
        return rows


def _ids(failures: Sequence[Failure]) -> tuple[list[int], list[int]]:
    return [failure.event.shard for failure in failures], [failure.event.id for failure in failures]
