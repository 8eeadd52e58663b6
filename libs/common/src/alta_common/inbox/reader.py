"""Reading events once: what was handled is remembered in the transaction of its effect."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.db.names import in_schema

_INSERT = """
INSERT INTO {schema}.inbox (event_id, consumer) VALUES (:event_id, :consumer) ON CONFLICT DO NOTHING RETURNING 1
"""


class Inbox:
    """The inbox of one schema."""

    def __init__(self, schema: str) -> None:
        self._insert = text(in_schema(_INSERT, schema))
        self._forget = text(in_schema("DELETE FROM {schema}.inbox WHERE handled_at < :before", schema))

    async def first_time(self, session: AsyncSession, event_id: UUID, consumer: str) -> bool:
        """Note that `consumer` handles the event in this transaction; return False when it did so before.

        When another transaction is just handling the same event, this waits until that one has ended.
        """
        result = await session.execute(self._insert, {"event_id": event_id, "consumer": consumer})
        return result.first() is not None

    async def forget(self, session: AsyncSession, before: datetime) -> None:
        """Drop what was handled before this moment (aware); such an event would count as new again."""
        await session.execute(self._forget, {"before": before})
