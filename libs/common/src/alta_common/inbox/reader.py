"""Reading events once: what was handled is remembered in the transaction of its effect."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from alta_common.db.names import in_schema

# In the driver's own words: through `text()` and a result it costs twice as much, and that at every message.
_INSERT = "INSERT INTO {schema}.inbox (event_id, consumer) VALUES ($1, $2) ON CONFLICT DO NOTHING"


class Inbox:
    """The inbox of one schema."""

    def __init__(self, schema: str) -> None:
        self._insert = in_schema(_INSERT, schema)
        self._forget = text(in_schema("DELETE FROM {schema}.inbox WHERE handled_at < :before", schema))

    async def first_time(self, session: AsyncSession, event_id: UUID, consumer: str) -> bool:
        """Note that `consumer` handles the event in this transaction; return False when it did so before.

        When another transaction is just handling the same event, this waits until that one has ended.
        """

        def note(session: Session) -> bool:
            return session.connection().exec_driver_sql(self._insert, (event_id, consumer)).rowcount == 1

        return await session.run_sync(note)

    async def forget(self, session: AsyncSession, before: datetime) -> None:
        """Drop what was handled before this moment (aware); such an event would count as new again."""
        await session.execute(self._forget, {"before": before})
