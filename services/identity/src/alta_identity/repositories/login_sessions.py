from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from alta_identity.models.login_session import LoginSession, RefreshToken


class LoginSessionRepository:
    """Sessions and their refresh tokens in PostgreSQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, login: LoginSession, token: RefreshToken) -> None:
        """Store a new session with its first refresh token."""
        self._session.add(login)
        await self._session.flush()
        self._session.add(token)

    def add_token(self, token: RefreshToken) -> None:
        """Store a further refresh token of a session with the transaction."""
        self._session.add(token)

    async def find_by_refresh_token(self, token_hash: bytes) -> UUID | None:
        """Return the id of the session that a refresh token belongs to, so that it can be locked first."""
        return await self._session.scalar(select(RefreshToken.session_id).where(RefreshToken.token_hash == token_hash))

    async def lock(self, session_id: UUID) -> LoginSession | None:
        """Return a session, locked until the transaction ends: all use of its refresh tokens waits for it."""
        return await self._session.get(LoginSession, session_id, with_for_update=True, populate_existing=True)

    async def get_token(self, token_hash: bytes) -> RefreshToken:
        """Return a refresh token that is known to exist; lock its session first."""
        return await self._session.get_one(RefreshToken, token_hash)

    async def list_revocations_due(self, limit: int) -> Sequence[LoginSession]:
        """Return ended sessions that the gateway was not told of, oldest first, skipping those in other hands."""
        found = await self._session.scalars(
            select(LoginSession)
            .where(LoginSession.revocation_due)
            .order_by(LoginSession.ended_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return found.all()

    async def mark_revoked(self, session_ids: Sequence[UUID]) -> None:
        """Note that the gateway knows."""
        await self._session.execute(
            update(LoginSession).where(LoginSession.id.in_(session_ids)).values(revocation_due=False)
        )

    async def delete_over(self, before: datetime) -> None:
        """Forget sessions that were over before a time, and refresh tokens that expired before it."""
        await self._session.execute(
            delete(LoginSession).where(or_(LoginSession.ended_at < before, LoginSession.expires_at < before))
        )
        await self._session.execute(delete(RefreshToken).where(RefreshToken.expires_at < before))
