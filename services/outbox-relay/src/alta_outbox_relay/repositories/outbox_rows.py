"""Finding events: first where their rows are, from the small tables where that is possible; then what they look like.

The view alone would be asked in vain for "the newest 50 that are parked": it is as long as the outbox.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.db.names import in_schema
from alta_common.outbox.headers import headers_of
from alta_common.outbox.table import SHARDS
from alta_outbox_relay.models.outbox_event import (
    WAITING,
    EventContent,
    EventKey,
    EventStatus,
    OutboxEvent,
    OutboxFilter,
)

LAST = 2**63 - 1

_UUID_WITH_TIME = 7
# Between the making of an event and its row lies the rest of its transaction.
_ROW_WITHIN = timedelta(hours=6)


class OutboxRows:
    """Reads one schema's outbox."""

    def __init__(self, session: AsyncSession, schema: str) -> None:
        self._session = session
        self._schema = schema

    async def newest(self, wanted: OutboxFilter, *, before: int, limit: int) -> list[EventKey]:
        """Return up to `limit` keys below `before`, newest first, of events that may be what is `wanted`.

        A status that only the view can tell (who fetched what) is not looked at.
        """
        return await self._keys(wanted, "<", "DESC", before, limit)

    async def oldest(self, wanted: OutboxFilter, *, after: int, limit: int) -> list[EventKey]:
        """Return up to `limit` keys above `after`, oldest first."""
        return await self._keys(wanted, ">", "ASC", after, limit)

    async def count(self, wanted: OutboxFilter, *, after: int, at_most: int) -> int:
        """Return how many events `oldest` would go through, as far as `at_most`."""
        union, values = await self._prepared(wanted, ">", "ASC")
        statement = in_schema(f"SELECT count(*) FROM ({union}) found", self._schema)  # noqa: S608 - fixed parts
        return int(await self._session.scalar(text(statement), {**values, "at": after, "limit": at_most}) or 0)

    async def events(self, keys: Sequence[EventKey]) -> list[OutboxEvent]:
        """Return the events of these keys, in this order; one that has gone is left out."""
        values = {"ids": [key.id for key in keys], "moments": [key.created_at for key in keys]}
        rows = await self._session.execute(text(in_schema(_EVENTS, self._schema)), values)
        found = {row.id: self._event(row) for row in rows}
        return [found[key.id] for key in keys if key.id in found]

    async def locate(self, event_ids: Sequence[UUID]) -> list[EventKey]:
        """Return where the rows of these events are; those that are not here are left out."""
        found = await self._locate(event_ids, _span_of(event_ids))
        missing = [event_id for event_id in event_ids if event_id not in found]
        if missing:
            # Made long before its row was written, or with an id that has no time in it.
            found |= await self._locate(missing, None)
        return sorted(found.values(), key=lambda key: key.id)

    async def content(self, key: EventKey) -> EventContent | None:
        """Return what an event says."""
        values = {"id": key.id, "created_at": key.created_at}
        row = (await self._session.execute(text(in_schema(_CONTENT, self._schema)), values)).first()
        if row is None:
            return None
        # What is no object cannot be sent, and is parked; it is looked at all the same.
        stored = row.headers if isinstance(row.headers, dict) else {}
        return EventContent(bytes(row.body), headers_of(row, stored))

    async def _locate(self, event_ids: Sequence[UUID], span: tuple[datetime, datetime] | None) -> dict[UUID, EventKey]:
        statement = _LOCATE + (" AND created_at >= :earliest AND created_at < :latest" if span else "")
        values: dict[str, Any] = {"event_ids": list(event_ids)}
        if span:
            values |= {"earliest": span[0], "latest": span[1]}
        rows = await self._session.execute(text(in_schema(statement, self._schema)), values)
        return {row.event_id: EventKey(row.id, row.created_at) for row in rows}

    async def _keys(self, wanted: OutboxFilter, beyond: str, way: str, at: int, limit: int) -> list[EventKey]:
        union, values = await self._prepared(wanted, beyond, way)
        statement = in_schema(f"SELECT * FROM ({union}) found ORDER BY id {way} LIMIT :limit", self._schema)  # noqa: S608 - fixed parts
        rows = await self._session.execute(text(statement), {**values, "at": at, "limit": limit})
        return [EventKey(row.id, row.created_at) for row in rows]

    async def _prepared(self, wanted: OutboxFilter, beyond: str, way: str) -> tuple[str, dict[str, Any]]:
        # The line's statistics are those of any moment: with them the planner reads a whole backlog to join it.
        await self._session.execute(text(_PLAN_BY_INDEX))
        parts = [part.format(beyond=beyond, way=way, last_shard=SHARDS - 1) for part in _sources(wanted)]
        return " UNION ALL ".join(f"({part})" for part in parts), _values(wanted)

    def _event(self, row: Row[Any]) -> OutboxEvent:
        values = {name: value for name, value in row._mapping.items() if name != "status"}  # noqa: SLF001 - its public name
        return OutboxEvent(schema=self._schema, status=EventStatus(row.status), **values)


def _conditions(row: str, wanted: OutboxFilter) -> str:
    """Return what a filter asks of a row, and only that: the planner sees which days it needs."""
    known = {
        "aggregate_id": f" AND {row}.aggregate_id = :aggregate_id",
        "created_after": f" AND {row}.created_at > :created_after",
        "created_before": f" AND {row}.created_at < :created_before",
        "event_type": f" AND {row}.event_type = :event_type" if row == "e" else _OF_TYPE.replace("{row}", row),
    }
    return "".join(known[name] for name in known if name in _values(wanted))


def _values(wanted: OutboxFilter) -> dict[str, Any]:
    values = {
        "event_type": wanted.event_type,
        "aggregate_id": wanted.aggregate_id,
        "created_after": wanted.created_after,
        "created_before": wanted.created_before,
    }
    return {name: value for name, value in values.items() if value is not None}


def _sources(wanted: OutboxFilter) -> list[str]:
    statuses = wanted.statuses or frozenset(EventStatus)
    of_event = _conditions("e", wanted)
    if EventStatus.COMPLETED in statuses and len(statuses) > 1:
        return [_ALL.replace("{also}", of_event)]
    parts = [_COMPLETED.replace("{also}", of_event)] if EventStatus.COMPLETED in statuses else []
    if EventStatus.PARKED in statuses:
        parts.append(_PARKED.replace("{also}", _conditions("k", wanted)))
    if statuses & WAITING:
        failed = " AND p.attempts > 0" if statuses & WAITING == {EventStatus.FAILED} else ""
        parts.append(_WAITING.replace("{also}", failed + _conditions("p", wanted)))
    return parts


def _span_of(event_ids: Sequence[UUID]) -> tuple[datetime, datetime] | None:
    """Return when the rows of events must have been written, going by the time in their ids (RFC 9562, UUIDv7)."""
    if any(event_id.version != _UUID_WITH_TIME for event_id in event_ids):
        return None
    try:
        moments = [datetime.fromtimestamp((event_id.int >> 80) / 1000, UTC) for event_id in event_ids]
        return min(moments) - timedelta(minutes=5), max(moments) + _ROW_WITHIN
    except (ValueError, OverflowError, OSError):
        return None


_PLAN_BY_INDEX = """
SELECT set_config(name, 'off', true) FROM unnest(ARRAY['enable_hashjoin', 'enable_mergejoin', 'enable_seqscan']) AS name
"""

_OF_TYPE = """
    AND EXISTS (SELECT FROM {{schema}}.outbox_event e
        WHERE e.id = {row}.id AND e.created_at = {row}.created_at AND e.event_type = :event_type)
"""

_ALL = """
SELECT e.id, e.created_at FROM {{schema}}.outbox_event e WHERE e.id {beyond} :at{also} ORDER BY e.id {way} LIMIT :limit
"""

_COMPLETED = """
SELECT e.id, e.created_at FROM {{schema}}.outbox_event e WHERE e.id {beyond} :at{also}
    AND NOT EXISTS (SELECT FROM {{schema}}.outbox_pending p WHERE p.shard = e.shard AND p.id = e.id)
    AND NOT EXISTS (SELECT FROM {{schema}}.outbox_parked k WHERE k.id = e.id)
ORDER BY e.id {way} LIMIT :limit
"""

_PARKED = """
SELECT k.id, k.created_at FROM {{schema}}.outbox_parked k WHERE k.id {beyond} :at{also} ORDER BY k.id {way} LIMIT :limit
"""

# By shard, as the index has them: the first of a million are found without reading the others.
_WAITING = """
SELECT w.id, w.created_at FROM generate_series(0, {last_shard}) AS shards(shard) CROSS JOIN LATERAL (
    SELECT p.id, p.created_at FROM {{schema}}.outbox_pending p
    WHERE p.shard = shards.shard AND p.id {beyond} :at{also} ORDER BY p.id {way} LIMIT :limit) w
ORDER BY w.id {way} LIMIT :limit
"""

_EVENTS = """
SELECT id, event_id, event_type, exchange, routing_key, aggregate_type, aggregate_id, shard, correlation_id,
    created_at, deliver_at, status, attempts, next_attempt_at, last_error, parked_at
FROM {schema}.outbox_events WHERE id = ANY(:ids) AND created_at = ANY(:moments)
"""

_LOCATE = "SELECT id, event_id, created_at FROM {schema}.outbox_event WHERE event_id = ANY(:event_ids)"

_CONTENT = """
SELECT body, headers, event_id, event_type, exchange, aggregate_type, aggregate_id, correlation_id
FROM {schema}.outbox_event WHERE id = :id AND created_at = :created_at
"""
