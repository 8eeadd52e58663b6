"""All SQL about projects."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.errors import NotFoundError
from alta_projects.models.access import Role
from alta_projects.models.member import Member
from alta_projects.models.project import Project
from alta_projects.repositories.pages import Slice, slice_of


@dataclass(frozen=True, slots=True)
class Membership:
    """A project as one of its members sees it."""

    project: Project
    role: Role


class ProjectRepository:
    """Projects of one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, project: Project) -> None:
        """Write a new project."""
        self._session.add(project)
        await self._session.flush()

    async def find_membership(self, project_id: UUID, user_id: UUID) -> Membership | None:
        """Return the project with the user's role in it; None when it does not exist for this user."""
        query = (
            select(Project, Member.role)
            .join(Member, Member.project_id == Project.id)
            .where(Project.id == project_id, Project.deleted_at.is_(None), Member.user_id == user_id)
        )
        row = (await self._session.execute(query)).one_or_none()
        return Membership(row[0], row[1]) if row else None

    async def lock(self, project_id: UUID) -> Project:
        """Return the project as it is now, held until the transaction ends. Raises `NotFoundError`.

        Uploads into it go on meanwhile: they only see to it that the project stays.
        """
        query = (
            select(Project)
            .where(Project.id == project_id, Project.deleted_at.is_(None))
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        project = (await self._session.execute(query)).scalar_one_or_none()
        if project is None:
            raise NotFoundError(f"there is no project {project_id} that you can see")
        return project

    async def list_memberships(self, user_id: UUID, *, after: UUID | None, limit: int) -> Slice[Membership]:
        """Return the user's projects, newest first."""
        query = (
            select(Project, Member.role)
            .join(Member, Member.project_id == Project.id)
            .where(Member.user_id == user_id, Project.deleted_at.is_(None))
            .order_by(Project.id.desc())
            .limit(limit + 1)
        )
        if after is not None:
            query = query.where(Project.id < after)
        rows = (await self._session.execute(query)).all()
        return slice_of([(project.id, Membership(project, role)) for project, role in rows], limit)

    async def list_deleted(self, before: datetime, *, limit: int) -> Sequence[Project]:
        """Return projects that were deleted before this moment, held for this transaction."""
        query = (
            select(Project)
            .where(Project.deleted_at < before)
            .order_by(Project.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return (await self._session.execute(query)).scalars().all()

    async def remove(self, project: Project) -> None:
        """Remove a project that holds no items any more; its members go with it."""
        await self._session.delete(project)
        await self._session.flush()
