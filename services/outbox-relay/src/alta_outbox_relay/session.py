"""The relay's connection to one outbox.

Ownership of shards, the marks that the view reads, and all reading and deleting hang on one PostgreSQL session:
who has lost it owns nothing any more and cannot delete anything either.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self

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

# Events that are fetched are nearly always as young; a clock that is wrong costs some time and no more.
_RECENT = timedelta(hours=12)
_ANY_TIME = (datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))

# A day that has to be moved into its own partition may be one of millions of events; nobody waits for it.
_MOVING_SECONDS = 3600.0

_SERVER_SETTINGS = {
    # What is lost in a crash are deletions, and those only make duplicates. How many is up to `delete`.
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


class Wanted(NamedTuple):
    """What to read of a shard: up to `limit` events after an id, but not those that are `known`."""

    shard: int
    after: int
    limit: int
    known: Sequence[int] = ()
    has_due: bool = False
    """Whether to read what is due as well, wherever it is."""


class Found(NamedTuple):
    """An event that may go out, or will."""

    shard: int
    id: int
    due_in: float | None
    """Seconds until its time comes, not above 0 when it has come; None waits for nothing but its turn."""


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
        # Whether the last events that were fetched were not all of these days.
        self._has_old = False
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

    async def fetch(self, wanted: Sequence[Wanted]) -> list[PendingEvent]:
        """Return events that wait for nothing but their turn, or are due, in the order of ids within a shard.

        Passed over are those that are known already, and those behind a failed one of their aggregate.
        """
        shards, after, limits, known, has_due = zip(*wanted, strict=True)
        texts = [f"{{{','.join(map(str, numbers))}}}" for numbers in known]
        statement, values = sql.FETCH_DUE if any(has_due) else sql.FETCH, (shards, after, limits, texts, has_due)
        now = datetime.now(UTC)
        recent = (now - _RECENT, now + _RECENT)
        events = await self._fetch(statement, *values, *(_ANY_TIME if self._has_old else recent))
        self._has_old, had_old = not all(recent[0] <= event.created_at < recent[1] for event in events), self._has_old
        if self._has_old and not had_old:
            events = await self._fetch(statement, *values, *_ANY_TIME)
        return events

    async def _fetch(self, statement: str, *values: Any) -> list[PendingEvent]:
        return [PendingEvent._make(row) for row in await self.ask(statement, *values)]

    async def look(self, ranges: Sequence[tuple[int, int, int, int]]) -> list[Found]:
        """Return what may go out: of each shard after an id so many that wait for their turn, and so many due ones.

        With them comes the next one of each shard that will be due.
        """
        return [Found._make(row) for row in await self.ask(sql.LOOK, *zip(*ranges, strict=True))]

    async def first_pending(self, marks: Sequence[tuple[int, int]]) -> dict[int, int | None]:
        """Return each shard's first id above its mark that waits for nothing but its turn."""
        rows = await self.ask(sql.FIRST_PENDING, [shard for shard, _ in marks], [low for _, low in marks])
        return {row["shard"]: row["first"] for row in rows}

    async def last_id_and_writers(self) -> tuple[int, frozenset[str]]:
        """Return the last id handed out, committed or not, and the transactions that had written by then or later."""
        (row,) = await self.ask(sql.LAST_ID_AND_WRITERS)
        return row["id"], frozenset(row["writers"])

    async def show_fetched(self, highest: Mapping[int, int]) -> None:
        """Let the view say PROCESSING up to these ids of their shards, until told otherwise or the session ends."""
        wanted = {fetched_key(self.schema, shard, last) for shard, last in highest.items()}
        if wanted != self._shown:
            await self.ask(sql.MOVE_KEYS, list(wanted - self._shown), list(self._shown - wanted))
            self._shown = wanted

    async def delete(self, events: Sequence[PendingEvent], *, durable: bool = True) -> None:
        """Strike out what was confirmed.

        When not `durable`, a crash of the server within the next second may undo it, until one that is has followed.
        """
        shards, ids = [event.shard for event in events], [event.id for event in events]
        await self.ask(sql.DELETE, shards, ids, "on" if durable else "off")

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
        made = await self.ask(sql.ENSURE_PARTITIONS, days_ahead, seconds=_MOVING_SECONDS)
        return made[0][0], (await self.ask(sql.DROP_PARTITIONS, days_kept))[0][0]

    async def ask(self, statement: str, *values: Any, seconds: float | None = None) -> list[asyncpg.Record]:
        """Return the rows of one of the statements in `sql`. It may take `seconds`, or as long as all others."""
        prepared = self._prepared.get(statement)
        if prepared is None:
            prepared = await self._connection.prepare(in_schema(statement, self.schema))
            self._prepared[statement] = prepared
        asked_at = time.monotonic()
        rows = await prepared.fetch(*values, timeout=seconds)
        self.alive_at = asked_at
        return rows


def _ids(failures: Sequence[Failure]) -> tuple[list[int], list[int]]:
    return [failure.event.shard for failure in failures], [failure.event.id for failure in failures]
