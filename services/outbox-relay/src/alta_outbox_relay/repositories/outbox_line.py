"""Putting events back in line, and taking them out of it."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.db.names import in_schema
from alta_outbox_relay.models.outbox_event import OutboxEvent


class OutboxLine:
    """The waiting line of one schema's outbox. Relays hear of every change once it is committed."""

    def __init__(self, session: AsyncSession, schema: str) -> None:
        self._session = session
        self._schema = schema

    async def replay(self, events: Sequence[OutboxEvent]) -> int:
        """Put what was published or parked back in line, at its old place; return how many were not in line yet."""
        statement = text(in_schema("SELECT {schema}.outbox_replay(:ids)", self._schema))
        return int(await self._session.scalar(statement, {"ids": [event.id for event in events]}) or 0)

    async def hasten(self, events: Sequence[OutboxEvent]) -> int:
        """Make the next attempt of what has failed due now; return how many were still waiting for it."""
        values = {"ids": [event.id for event in events], "shards": sorted({event.shard for event in events})}
        hastened = await self._session.scalar(text(in_schema(_HASTEN, self._schema)), values)
        await self._tell_relays(min(values["ids"]))
        return int(hastened or 0)

    async def park(self, event: OutboxEvent, reason: str) -> bool:
        """Take an event out of its line, so that its aggregate goes on. Returns False when it has left it meanwhile."""
        values = {"id": event.id, "shard": event.shard, "reason": reason}
        parked = await self._session.scalar(text(in_schema(_PARK, self._schema)), values)
        await self._tell_relays(event.id)
        return parked is not None

    async def _tell_relays(self, lowest_id: int) -> None:
        # As outbox_replay does. Here NOTIFY may ride in the transaction: no business writer waits for it.
        values = {"payload": f"{self._schema}/replay/{lowest_id}"}
        await self._session.execute(text("SELECT pg_notify('alta_outbox', :payload)"), values)


_HASTEN = """
WITH hastened AS (
    UPDATE {schema}.outbox_pending SET due_at = now()
    WHERE shard = ANY(:shards) AND id = ANY(:ids) AND attempts > 0 AND due_at > now() RETURNING id
) SELECT count(*) FROM hastened
"""

_PARK = """
WITH gone AS (DELETE FROM {schema}.outbox_pending WHERE shard = :shard AND id = :id RETURNING *)
INSERT INTO {schema}.outbox_parked (id, shard, created_at, aggregate_id, attempts, last_error)
SELECT id, shard, created_at, aggregate_id, attempts,
    CAST(:reason AS text) || coalesce(' (before: ' || last_error || ')', '') FROM gone
ON CONFLICT (id) DO NOTHING RETURNING id
"""
