"""The relay's connection to one outbox.

Ownership of shards, the marks that the view reads, and all reading and deleting hang on one PostgreSQL session:
who has lost it owns nothing any more and cannot delete anything either.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Self

import asyncpg
import orjson

from alta_common.db.lost import CONNECTION_ERRORS
from alta_common.db.names import in_schema
from alta_common.outbox.locks import fetched_key
from alta_common.outbox.wakeup import CHANNEL
from alta_common.settings import PostgresSettings
from alta_outbox_relay import sql
from alta_outbox_relay.event import Backlog, Failure, PendingEvent

SESSION_ERRORS = CONNECTION_ERRORS

_SERVER_SETTINGS = {
    # What is lost in a crash are deletions, and those only make duplicates.
    "synchronous_commit": "off",
    # The pending table may have grown from nothing to a million rows since it was last analysed. Every query here is
    # meant to walk an index, whatever the statistics say.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
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
        self._connection = connection
        self._fetched: list[int] = []
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

    async def fetch(self, marks: Sequence[tuple[int, int]], limit: int) -> list[PendingEvent]:
        """Return up to `limit` events that may go out now, in the order of their ids.

        `marks` are shards with the id below which nothing is left in them; earlier shards are served first. Each
        aggregate's events are a gapless beginning of what it has waiting, and none is behind a failed one.
        """
        shards, lows = [shard for shard, _ in marks], [low for _, low in marks]
        rows = await self._connection.fetch(self._sql(sql.FETCH), shards, lows, limit)
        return [self._event(row) for row in rows]

    async def first_pending(self, marks: Sequence[tuple[int, int]]) -> dict[int, int | None]:
        """Return each shard's first id above its mark that waits for nothing but its turn."""
        shards, lows = [shard for shard, _ in marks], [low for _, low in marks]
        rows = await self._connection.fetch(self._sql(sql.FIRST_PENDING), shards, lows)
        return {row["shard"]: row["first"] for row in rows}

    async def last_id(self) -> int:
        """Return the last id that was handed out to any writer, committed or not."""
        return int(await self._connection.fetchval(self._sql(sql.LAST_ID)))

    async def writers(self) -> frozenset[str]:
        """Return the transactions that have written events and have not ended."""
        rows = await self._connection.fetch(self._sql(sql.WRITERS), f"{self.schema}.outbox_event")
        return frozenset(row["virtualtransaction"] for row in rows)

    async def show_fetched(self, events: Sequence[PendingEvent]) -> None:
        """Let the view say PROCESSING of these events, until `hide_fetched` or the end of the session."""
        highest: dict[int, int] = {}
        for event in events:
            highest[event.shard] = max(event.id, highest.get(event.shard, 0))
        self._fetched = [fetched_key(self.schema, shard, last) for shard, last in highest.items()]
        await self._connection.execute(sql.LOCK_KEYS, self._fetched)

    async def hide_fetched(self) -> None:
        """Take `show_fetched` back."""
        await self._connection.execute(sql.UNLOCK_KEYS, self._fetched)
        self._fetched = []

    async def delete(self, events: Sequence[PendingEvent]) -> None:
        """Strike out what was confirmed."""
        shards, ids = [event.shard for event in events], [event.id for event in events]
        await self._connection.execute(self._sql(sql.DELETE), shards, ids)

    async def postpone(self, failure: Failure, seconds: float) -> None:
        """Count an attempt that failed; the next one is due in `seconds`."""
        event = failure.event
        await self._connection.execute(self._sql(sql.POSTPONE), event.shard, event.id, seconds, failure.reason)

    async def park(self, failure: Failure) -> None:
        """Give an event up until a person acts."""
        event = failure.event
        await self._connection.execute(self._sql(sql.PARK), event.shard, event.id, failure.reason)

    async def backlog(self) -> Backlog:
        """Count what waits."""
        row = await self._connection.fetchrow(self._sql(sql.BACKLOG))
        assert row is not None
        return Backlog(row["depth"], row["parked"], float(row["oldest_seconds"]))

    async def tend_partitions(self, days_ahead: int, days_kept: int) -> tuple[int, int]:
        """Make partitions ahead and drop old ones; return how many of each."""
        made = await self._connection.fetchval(self._sql(sql.ENSURE_PARTITIONS), days_ahead)
        return made, await self._connection.fetchval(self._sql(sql.DROP_PARTITIONS), days_kept)

    async def value(self, query: str, *values: Any) -> Any:
        """Return the first column of the first row; for the locks, which know no tables."""
        return await self._connection.fetchval(query, *values)

    async def rows(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """Return all rows; as `value`."""
        return await self._connection.fetch(query, *values)

    def _sql(self, statement: str) -> str:
        return in_schema(statement, self.schema)

    def _event(self, row: asyncpg.Record) -> PendingEvent:
        values = dict(row)
        return PendingEvent(schema=self.schema, headers=orjson.loads(values.pop("headers")), **values)
