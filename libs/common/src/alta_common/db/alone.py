"""Regular work that one replica does while the others pass."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.db.engine import Sessions


@asynccontextmanager
async def alone(sessions: Sessions, name: str) -> AsyncIterator[AsyncSession | None]:
    """Hold a transaction that nobody else has under this name at the same time; give None to who comes second."""
    async with sessions.begin() as session:
        locked = await session.execute(text("SELECT pg_try_advisory_xact_lock(hashtext(:name))"), {"name": name})
        yield session if locked.scalar_one() else None
