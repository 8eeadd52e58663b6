"""All SQL about failures that nobody has been told of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from alta_projects.models.media_item import MediaItem
from alta_projects.models.member import Member, Person
from alta_projects.models.project import Project


@dataclass(frozen=True, slots=True)
class Uploader:
    """Somebody whose items in one project have failed. Without an address we cannot write to them."""

    user_id: UUID
    project_id: UUID
    project_name: str
    is_member: bool
    email: str | None


class FailureRepository:
    """Untold failures, of one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find_uploader(self, *, failed_before: datetime, told_before: datetime) -> Uploader | None:
        """Return somebody of whose failures one is older than `failed_before`.

        Members who were written to about the same project after `told_before` wait; deleted projects are left out.
        """
        query = (
            select(Project, MediaItem.created_by, Member.id, Person.email)
            .select_from(MediaItem)
            .join(Project, Project.id == MediaItem.project_id)
            .outerjoin(Member, and_(Member.project_id == Project.id, Member.user_id == MediaItem.created_by))
            .outerjoin(Person, Person.user_id == MediaItem.created_by)
            .where(
                Project.deleted_at.is_(None),
                MediaItem.untold_failure_at <= failed_before,
                or_(Member.failures_told_at.is_(None), Member.failures_told_at <= told_before),
            )
            .limit(1)
        )
        row = (await self._session.execute(query)).first()
        if row is None:
            return None
        project, user_id, member_id, email = row
        return Uploader(user_id, project.id, project.name, member_id is not None, email)

    async def lock_first(self, uploader: Uploader, limit: int) -> Sequence[MediaItem]:
        """Return the first untold failures of somebody, held until the transaction ends."""
        query = (
            select(MediaItem)
            .where(_untold(uploader))
            .order_by(MediaItem.untold_failure_at, MediaItem.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return (await self._session.execute(query)).scalars().all()

    async def mark_told(self, uploader: Uploader, now: datetime) -> int:
        """Note that somebody knows of all their failures; return how many there were.

        What somebody else is changing just now is left for the next time: it may be no failure any more.
        """
        free = select(MediaItem.id).where(_untold(uploader)).with_for_update(skip_locked=True)
        told = await self._session.execute(
            update(MediaItem)
            .where(MediaItem.id.in_(free))
            .values(untold_failure_at=None)
            .execution_options(synchronize_session=False)
        )
        await self._session.execute(
            update(Member)
            .where(Member.project_id == uploader.project_id, Member.user_id == uploader.user_id)
            .values(failures_told_at=now)
            .execution_options(synchronize_session=False)
        )
        return told.rowcount if isinstance(told, CursorResult) else 0


def _untold(uploader: Uploader) -> ColumnElement[bool]:
    return and_(
        MediaItem.project_id == uploader.project_id,
        MediaItem.created_by == uploader.user_id,
        MediaItem.untold_failure_at.is_not(None),
    )
