"""All SQL about documents and voice samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.errors import NotFoundError
from alta_projects.models.access import Role
from alta_projects.models.media_item import ItemStatus, MediaItem
from alta_projects.models.member import Member
from alta_projects.models.project import Project
from alta_projects.repositories.pages import Slice, slice_of

Item = TypeVar("Item", bound=MediaItem)


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """Which items of a project to list; None means any."""

    statuses: Sequence[ItemStatus] | None = None
    created_after: datetime | None = None
    filename_contains: str | None = None


@dataclass(frozen=True, slots=True)
class SeenItem(Generic[Item]):
    """An item with the role in its project of the one who looks at it."""

    item: Item
    role: Role


class ItemRepository(Generic[Item]):
    """Items of one kind, of one session."""

    def __init__(self, session: AsyncSession, kind: type[Item]) -> None:
        self._session = session
        self._kind = kind

    async def add(self, item: Item) -> None:
        """Write a new item."""
        self._session.add(item)
        await self._session.flush()

    async def get_seen(self, item_id: UUID, user_id: UUID, *, hold: bool = False) -> SeenItem[Item]:
        """Return an item that the user may see. Raises `NotFoundError` for all others.

        With `hold` nobody else changes the item until the transaction ends.
        """
        query = (
            select(self._kind, Member.role)
            .join(Project, Project.id == self._kind.project_id)
            .join(Member, Member.project_id == Project.id)
            .where(self._kind.id == item_id, Member.user_id == user_id, Project.deleted_at.is_(None))
        )
        if hold:
            query = query.with_for_update(of=self._kind)
        row = (await self._session.execute(query)).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no {self._kind.NOUN} {item_id} that you can see")
        return SeenItem(row[0], row[1])

    async def lock(self, item_id: UUID) -> Item | None:
        """Return an item, held until the transaction ends; None when it is gone."""
        query = select(self._kind).where(self._kind.id == item_id).with_for_update()
        return (await self._session.execute(query)).scalar_one_or_none()

    async def lock_content(self, project_id: UUID, sha256: str) -> None:
        """Let nobody else add these bytes to the project until the transaction ends.

        Two uploads of the same file at the same time are decided here; the unique index behind it is the safety net.
        """
        name = f"projects.content:{project_id}:{sha256}"
        await self._session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})

    async def find_original(self, project_id: UUID, sha256: str) -> Item | None:
        """Return the first item of the project with these bytes."""
        query = (
            select(self._kind)
            .where(self._kind.project_id == project_id, self._kind.sha256 == sha256)
            .order_by(self._kind.is_copy, self._kind.id)
            .limit(1)
        )
        return (await self._session.execute(query)).scalar_one_or_none()

    async def list_items(self, project_id: UUID, wanted: ItemFilter, *, after: UUID | None, limit: int) -> Slice[Item]:
        """Return items of a project, newest first."""
        query = select(self._kind).where(self._kind.project_id == project_id)
        if wanted.statuses:
            query = query.where(self._kind.status.in_(wanted.statuses))
        if wanted.created_after is not None:
            query = query.where(self._kind.created_at > wanted.created_after)
        if wanted.filename_contains:
            query = query.where(self._kind.filename.icontains(wanted.filename_contains, autoescape=True))
        if after is not None:
            query = query.where(self._kind.id < after)
        rows = (await self._session.execute(query.order_by(self._kind.id.desc()).limit(limit + 1))).scalars().all()
        return slice_of([(item.id, item) for item in rows], limit)

    async def lock_some(self, project_id: UUID, *, limit: int) -> Sequence[Item]:
        """Return some items of a project, whichever are free, held until the transaction ends."""
        query = select(self._kind).where(self._kind.project_id == project_id).limit(limit)
        return (await self._session.execute(query.with_for_update(skip_locked=True))).scalars().all()

    async def are_in(self, project_id: UUID) -> bool:
        """Say whether a project holds any items."""
        query = select(self._kind.id).where(self._kind.project_id == project_id).limit(1)
        return (await self._session.execute(query)).first() is not None

    async def remove(self, item: Item) -> None:
        """Take an item away. Its objects are the caller's to condemn."""
        await self._session.delete(item)
        await self._session.flush()
