"""All SQL about the results that items have had."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.errors import NotFoundError
from alta_projects.models.result_revision import ResultRevision


class RevisionNotFoundError(NotFoundError):
    """The item has no such revision."""

    code = "revision_not_found"


class RevisionRepository:
    """Revisions of items, of one session. They go with their item."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, revision: ResultRevision) -> None:
        """Write a new revision."""
        self._session.add(revision)
        await self._session.flush()

    async def get(self, item_id: UUID, number: int) -> ResultRevision:
        """Return a revision. Raises `RevisionNotFoundError`."""
        revision = await self._session.get(ResultRevision, (item_id, number))
        if revision is None:
            raise RevisionNotFoundError(f"there is no revision {number} of this result")
        return revision

    async def list_revisions(self, item_id: UUID, *, before: int | None, limit: int) -> Sequence[ResultRevision]:
        """Return up to `limit` revisions of an item, the newest first, from below the number `before`."""
        query = select(ResultRevision).where(ResultRevision.item_id == item_id)
        if before is not None:
            query = query.where(ResultRevision.revision < before)
        return (
            (await self._session.execute(query.order_by(ResultRevision.revision.desc()).limit(limit))).scalars().all()
        )

    async def keys_of(self, item_ids: Sequence[UUID]) -> Sequence[str]:
        """Return where all results of these items lie."""
        query = select(ResultRevision.result_key).where(ResultRevision.item_id.in_(item_ids))
        return (await self._session.execute(query)).scalars().all()

    async def is_kept(self, item_id: UUID, result_key: str) -> bool:
        """Say whether a stored result is a revision of the item."""
        query = select(ResultRevision.revision).where(
            ResultRevision.item_id == item_id, ResultRevision.result_key == result_key
        )
        return (await self._session.execute(query.limit(1))).first() is not None
