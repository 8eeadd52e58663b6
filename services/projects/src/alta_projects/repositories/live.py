"""All SQL about live events."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from alta_projects.models.live_event import LiveEvent, LiveHead


class LiveEventRepository:
    """Live events, of one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def last_number(self, project_id: UUID) -> int:
        """Return the number of a project's last event; 0 when there was none."""
        query = select(LiveHead.number).where(LiveHead.project_id == project_id)
        return (await self._session.execute(query)).scalar_one_or_none() or 0

    async def list_after(self, project_id: UUID, number: int, *, limit: int) -> Sequence[LiveEvent]:
        """Return the events of a project that follow `number`, in their order, as far as they are still kept."""
        query = (
            select(LiveEvent)
            .where(LiveEvent.project_id == project_id, LiveEvent.number > number)
            .order_by(LiveEvent.number)
            .limit(limit)
        )
        return (await self._session.execute(query)).scalars().all()

    async def is_kept(self, project_id: UUID, number: int) -> bool:
        """Say whether an event is still there."""
        query = select(LiveEvent.number).where(LiveEvent.project_id == project_id, LiveEvent.number == number)
        return (await self._session.execute(query)).first() is not None

    async def forget(self, before: datetime) -> None:
        """Drop the events from before a moment; numbers go on from where they are."""
        await self._session.execute(delete(LiveEvent).where(LiveEvent.created_at < before))
