"""All SQL about objects that no row points at."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from alta_projects.models.unclaimed_object import UnclaimedObject


class UnclaimedObjectRepository:
    """Objects without an owner, of one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def condemn(self, keys: Sequence[str], delete_after: datetime) -> None:
        """Have the sweep remove these objects once `delete_after` has passed."""
        if keys:
            values = [{"object_key": key, "delete_after": delete_after} for key in keys]
            statement = insert(UnclaimedObject).values(values)
            changed = {"delete_after": statement.excluded.delete_after}
            await self._session.execute(statement.on_conflict_do_update(index_elements=["object_key"], set_=changed))

    async def claim(self, key: str) -> bool:
        """Take an object: from now on the caller decides what becomes of it. Return False when another was faster."""
        statement = (
            delete(UnclaimedObject).where(UnclaimedObject.object_key == key).returning(UnclaimedObject.object_key)
        )
        return (await self._session.execute(statement)).first() is not None

    async def forget(self, keys: Sequence[str]) -> None:
        """Drop the rows of objects that have been removed from the store."""
        await self._session.execute(delete(UnclaimedObject).where(UnclaimedObject.object_key.in_(keys)))

    async def lock_due(self, now: datetime, *, limit: int) -> Sequence[str]:
        """Return keys whose time is over, held until the transaction ends."""
        query = (
            select(UnclaimedObject.object_key)
            .where(UnclaimedObject.delete_after < now)
            .order_by(UnclaimedObject.delete_after)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return (await self._session.execute(query)).scalars().all()
