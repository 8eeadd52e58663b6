from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from alta_identity.models.one_time_token import OneTimeToken, TokenPurpose


class OneTimeTokenRepository:
    """Mailed tokens in PostgreSQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, token: OneTimeToken) -> None:
        """Store a token with the transaction."""
        self._session.add(token)

    async def find_owner(self, token_hash: bytes, purpose: TokenPurpose) -> UUID | None:
        """Return the account that a token was issued to, so that it can be locked before the token is."""
        return await self._session.scalar(
            select(OneTimeToken.account_id).where(
                OneTimeToken.token_hash == token_hash, OneTimeToken.purpose == purpose
            )
        )

    async def lock(self, token_hash: bytes) -> OneTimeToken | None:
        """Return a token, locked until the transaction ends, if it exists."""
        return await self._session.scalar(
            select(OneTimeToken).where(OneTimeToken.token_hash == token_hash).with_for_update()
        )

    async def withdraw_all(self, account_id: UUID, purpose: TokenPurpose, now: datetime) -> None:
        """Make the account's unused tokens of a purpose useless."""
        await self._session.execute(
            update(OneTimeToken)
            .where(OneTimeToken.account_id == account_id, OneTimeToken.purpose == purpose)
            .where(OneTimeToken.used_at.is_(None), OneTimeToken.withdrawn_at.is_(None))
            .values(withdrawn_at=now)
        )

    async def delete_expired(self, before: datetime) -> None:
        """Forget tokens that expired before a time."""
        await self._session.execute(delete(OneTimeToken).where(OneTimeToken.expires_at < before))
