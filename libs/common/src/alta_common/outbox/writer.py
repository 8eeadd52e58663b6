"""Writing events: in the transaction that makes them true."""

import zlib
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import event as hooks
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from alta_common.contracts.event import Event, message_headers
from alta_common.contracts.registry import BY_ROUTING_KEY, EXCHANGES
from alta_common.db.names import in_schema
from alta_common.outbox.table import SHARDS
from alta_common.outbox.wakeup import OutboxWakeup
from alta_common.telemetry.context import correlation_id, current_traceparent

_NUDGE = "alta_outbox_nudge"


class UnknownEventError(ValueError):
    """The event is not in `alta_common.contracts.registry`: nobody could hear it."""


def shard_of(aggregate_id: UUID) -> int:
    """Return the shard of an aggregate's events."""
    return zlib.crc32(aggregate_id.bytes) % SHARDS


class Outbox:
    """The outbox of one schema. Without a wake-up the relay finds new events when it next looks by itself."""

    def __init__(self, schema: str, wakeup: OutboxWakeup | None = None) -> None:
        self._insert = text(in_schema(_INSERT, schema))
        self._wakeup = wakeup

    async def add(self, session: AsyncSession, *events: Event, deliver_at: datetime | None = None) -> None:
        """Write `events` in the session's transaction, in this order and with one statement.

        Call it after the aggregate's row was locked or updated in the same transaction: then the order of ids is the
        order of commits for each aggregate. An event with `deliver_at` (aware) is published at that time or soon
        after, and takes its place among its aggregate's events then.

        Raises `UnknownEventError` for an event that is no contract and `InvalidError` for one above 64 KiB.
        """
        if not events:
            return
        await session.execute(self._insert, _columns(events) | {"deliver_at": deliver_at})
        if self._wakeup is not None:
            _nudge_after_commit(session.sync_session, self._wakeup)


def _columns(events: tuple[Event, ...]) -> dict[str, Any]:
    correlation, traceparent = correlation_id(), current_traceparent()
    for event in events:
        _check(event)
    return {
        "event_ids": [event.event_id for event in events],
        "event_types": [event.TYPE for event in events],
        "exchanges": [event.EXCHANGE for event in events],
        "routing_keys": [event.ROUTING_KEY for event in events],
        "aggregate_types": [event.AGGREGATE for event in events],
        "aggregate_ids": [event.aggregate_id for event in events],
        "shards": [shard_of(event.aggregate_id) for event in events],
        "bodies": [event.to_bytes(correlation_id=correlation, traceparent=traceparent) for event in events],
        "headers": [_headers(event, correlation, traceparent) for event in events],
        "correlation_id": correlation,
    }


def _check(event: Event) -> None:
    if BY_ROUTING_KEY.get(event.ROUTING_KEY) is not type(event) or event.EXCHANGE not in EXCHANGES:
        raise UnknownEventError(f"{type(event).__name__} is not in the registry of contracts")


def _headers(event: Event, correlation: str | None, traceparent: str | None) -> str:
    envelope = event.envelope(correlation_id=correlation, traceparent=traceparent)
    return orjson.dumps(message_headers(envelope)).decode()


def _nudge_after_commit(session: Session, wakeup: OutboxWakeup) -> None:
    """Nudge once the transaction has committed: before, there would be nothing to see."""
    if _NUDGE not in session.info:
        hooks.listen(session, "after_commit", _committed)
    session.info[_NUDGE] = wakeup


def _committed(session: Session) -> None:
    # Releasing a savepoint comes by here too; the rows are not visible yet then.
    if not session.in_nested_transaction():
        wakeup: OutboxWakeup | None = session.info.get(_NUDGE)
        if wakeup is not None:
            session.info[_NUDGE] = None
            wakeup.nudge()


# One statement and one prepared plan for any number of events; ids are handed out in the order of the arrays.
_INSERT = """
INSERT INTO {schema}.outbox_event (event_id, event_type, exchange, routing_key, aggregate_type, aggregate_id, shard,
    body, headers, correlation_id, deliver_at)
SELECT e.event_id, e.event_type, e.exchange, e.routing_key, e.aggregate_type, e.aggregate_id, e.shard, e.body,
    CAST(e.headers AS jsonb), CAST(:correlation_id AS text), CAST(:deliver_at AS timestamptz)
FROM unnest(CAST(:event_ids AS uuid[]), CAST(:event_types AS text[]), CAST(:exchanges AS text[]),
    CAST(:routing_keys AS text[]), CAST(:aggregate_types AS text[]), CAST(:aggregate_ids AS uuid[]),
    CAST(:shards AS smallint[]), CAST(:bodies AS bytea[]), CAST(:headers AS text[]))
    WITH ORDINALITY AS e(event_id, event_type, exchange, routing_key, aggregate_type, aggregate_id, shard, body,
    headers, position)
ORDER BY e.position
"""
