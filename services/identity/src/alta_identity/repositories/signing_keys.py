from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from alta_identity.models.signing_key import SigningKey
from alta_identity.repositories.locks import wait_for_turn


class SigningKeyRepository:
    """Signing keys in PostgreSQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def wait_for_turn(self) -> None:
        """Be the only replica that makes keys, until the transaction ends."""
        await wait_for_turn(self._session, "signing_keys")

    def add(self, key: SigningKey) -> None:
        """Store a key with the transaction."""
        self._session.add(key)

    async def list_published(self, now: datetime) -> Sequence[SigningKey]:
        """Return the keys that are in the JWKS, the one that came or comes into use last at the end."""
        found = await self._session.scalars(
            select(SigningKey)
            .where(or_(SigningKey.withdraw_at.is_(None), SigningKey.withdraw_at > now))
            .order_by(SigningKey.active_from)
        )
        return found.all()

    async def delete_withdrawn(self, before: datetime) -> None:
        """Forget keys that were withdrawn before a time, private parts included."""
        await self._session.execute(delete(SigningKey).where(SigningKey.withdraw_at < before))
