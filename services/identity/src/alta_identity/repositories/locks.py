"""Advisory locks of PostgreSQL: scheduled work is done by one replica at a time."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from alta_identity.models.base import SCHEMA


async def wait_for_turn(session: AsyncSession, work: str) -> None:
    """Hold the lock of a kind of work until the transaction ends, waiting for whoever holds it."""
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"{SCHEMA}:{work}"})


async def is_my_turn(session: AsyncSession, work: str) -> bool:
    """Try to hold the lock of a kind of work until the transaction ends; say whether that went well."""
    statement = text("SELECT pg_try_advisory_xact_lock(hashtext(:name))")
    return bool(await session.scalar(statement, {"name": f"{SCHEMA}:{work}"}))
