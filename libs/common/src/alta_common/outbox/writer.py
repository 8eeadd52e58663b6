"""Writing events: in the transaction that makes them true."""

import zlib
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import event as hooks
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from alta_common.contracts.event import Event, message_body
from alta_common.contracts.registry import BY_ROUTING_KEY, EXCHANGES
from alta_common.db.names import in_schema
from alta_common.outbox.headers import stored_headers
from alta_common.outbox.table import SHARDS
from alta_common.outbox.wakeup import OutboxWakeup
from alta_common.telemetry.context import correlation_id, current_traceparent

_NUDGE = "alta_outbox_nudge"
_SHARD = 6
"""The place of the shard in a row."""


class UnknownEventError(ValueError):
    """The event is not in `alta_common.contracts.registry`: nobody could hear it."""


def shard_of(aggregate_id: UUID) -> int:
    """Return the shard of an aggregate's events."""
    return zlib.crc32(aggregate_id.bytes) % SHARDS


class Outbox:
    """The outbox of one schema. Without a wake-up the relay finds new events when it next looks by itself."""

    def __init__(self, schema: str, wakeup: OutboxWakeup | None = None) -> None:
        self._insert_one = in_schema(_INSERT_ONE, schema)
        self._insert_many = in_schema(_INSERT_MANY, schema)
        self._wakeup = wakeup
        if wakeup is not None and not hooks.contains(Session, "after_commit", _committed):
            # Of all sessions, once: to listen to each that writes an event costs 50 us.
            hooks.listen(Session, "after_commit", _committed)

    async def add(self, session: AsyncSession, *events: Event, deliver_at: datetime | None = None) -> None:
        """Write `events` in the session's transaction, in this order and with one statement.

        Call it after the aggregate's row was locked or updated in the same transaction: then the order of ids is the
        order of commits for each aggregate. An event with `deliver_at` (aware) is published at that time or soon
        after. Until then it holds up nobody; then it comes after the earlier events of its aggregate that still wait,
        and before those that are committed later than its time, if that was at least a second ahead.

        Raises `UnknownEventError` for an event that is no contract and `InvalidError` for one above 64 KiB.
        """
        if not events:
            return
        correlation, traceparent = correlation_id(), current_traceparent()
        rows = [_row(event, correlation, traceparent) for event in events]
        for_all = (correlation, deliver_at)
        if len(rows) == 1:
            await session.run_sync(_execute, self._insert_one, (*rows[0], *for_all))
        else:
            columns = (list(column) for column in zip(*rows, strict=True))
            await session.run_sync(_execute, self._insert_many, (*columns, *for_all))
        if self._wakeup is not None:
            # What a transaction has left here that was rolled back costs a relay one look too many.
            _, shards = session.info.get(_NUDGE) or (None, set())
            session.info[_NUDGE] = (self._wakeup, shards.union(row[_SHARD] for row in rows))


def _row(event: Event, correlation: str | None, traceparent: str | None) -> tuple[Any, ...]:
    if BY_ROUTING_KEY.get(event.ROUTING_KEY) is not type(event) or event.EXCHANGE not in EXCHANGES:
        raise UnknownEventError(f"{type(event).__name__} is not in the registry of contracts")
    envelope = event.envelope(correlation_id=correlation, traceparent=traceparent)
    aggregate_id = event.aggregate_id
    return (
        event.event_id,
        event.TYPE,
        event.EXCHANGE,
        event.ROUTING_KEY,
        event.AGGREGATE,
        aggregate_id,
        shard_of(aggregate_id),
        message_body(envelope),
        orjson.dumps(stored_headers(envelope)).decode(),
    )


def _execute(session: Session, statement: str, values: tuple[Any, ...]) -> None:
    # The driver's own placeholders: on this path, which most transactions take, a statement that SQLAlchemy has to
    # look through first costs a seventh more.
    session.connection().exec_driver_sql(statement, values)


def _committed(session: Session) -> None:
    """Nudge now that the transaction has committed: before, there would be nothing to see."""
    nudge: tuple[OutboxWakeup, set[int]] | None = session.info.get(_NUDGE)
    # Releasing a savepoint comes by here too; the rows are not visible yet then.
    if nudge is not None and not session.in_nested_transaction():
        del session.info[_NUDGE]
        wakeup, shards = nudge
        wakeup.nudge(shards)


# Of the two, each is one prepared plan. A single event, which is the usual case, spares itself the arrays.
_INSERT_ONE = """
INSERT INTO {schema}.outbox_event (event_id, event_type, exchange, routing_key, aggregate_type, aggregate_id, shard,
    body, headers, correlation_id, deliver_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10, $11)
"""

# Ids are handed out in the order of the arrays.
_INSERT_MANY = """
INSERT INTO {schema}.outbox_event (event_id, event_type, exchange, routing_key, aggregate_type, aggregate_id, shard,
    body, headers, correlation_id, deliver_at)
SELECT e.event_id, e.event_type, e.exchange, e.routing_key, e.aggregate_type, e.aggregate_id, e.shard, e.body,
    e.headers::jsonb, $10::text, $11::timestamptz
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::smallint[], $8::bytea[],
    $9::text[])
    WITH ORDINALITY AS e(event_id, event_type, exchange, routing_key, aggregate_type, aggregate_id, shard, body,
    headers, position)
ORDER BY e.position
"""
