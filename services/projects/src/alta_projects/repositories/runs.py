"""All SQL about runs that are under way, of whichever kind."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from alta_projects.models.media_item import ItemStatus, MediaItem
from alta_projects.models.project import Project

_UNDER_WAY = (ItemStatus.QUEUED, ItemStatus.PROCESSING)


class RunRepository:
    """Runs of one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def lock_overdue(self, deadline_before: datetime, *, limit: int) -> Sequence[MediaItem]:
        """Return items that should have been read before this moment, held until the transaction ends."""
        query = select(MediaItem).where(MediaItem.status.in_(_UNDER_WAY), MediaItem.deadline_at < deadline_before)
        return await self._locked(query.order_by(MediaItem.deadline_at), limit)

    async def lock_of_project(self, project_id: UUID, *, limit: int) -> Sequence[MediaItem]:
        """Return items of a project that are still to be read, held until the transaction ends."""
        query = select(MediaItem).where(MediaItem.project_id == project_id, MediaItem.status.in_(_UNDER_WAY))
        return await self._locked(query, limit)

    async def lock_of_deleted_projects(self, *, limit: int) -> Sequence[MediaItem]:
        """Return items of deleted projects that are still to be read, held until the transaction ends."""
        query = (
            select(MediaItem)
            .join(Project, Project.id == MediaItem.project_id)
            .where(Project.deleted_at.is_not(None), MediaItem.status.in_(_UNDER_WAY))
        )
        return await self._locked(query, limit)

    async def _locked(self, query: Select[MediaItem], limit: int) -> Sequence[MediaItem]:
        held = query.limit(limit).with_for_update(of=MediaItem, skip_locked=True)
        return (await self._session.execute(held)).scalars().all()
