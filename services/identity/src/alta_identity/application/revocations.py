from collections.abc import Sequence
from uuid import UUID

from alta_common.db.engine import Sessions
from alta_identity.metrics import REVOCATIONS_DUE
from alta_identity.models.base import Clock
from alta_identity.repositories.login_sessions import LoginSessionRepository
from alta_identity.security.revocation_list import RevocationList

BATCH = 500


class RevocationService:
    """Tells the gateway, through Redis, which sessions have ended.

    PostgreSQL says first that a session is over, and that the gateway is due to be told. Where Redis does not
    answer, the mark stays and `publish_due` tries again until it does, or the last access token has expired.
    """

    def __init__(self, sessions: Sessions, revoked: RevocationList, *, clock: Clock) -> None:
        self._sessions = sessions
        self._revoked = revoked
        self._clock = clock

    async def publish(self, session_ids: Sequence[UUID]) -> None:
        """Tell the gateway of sessions that were just ended. Raises `UnavailableError` when Redis does not answer."""
        if not session_ids:
            return
        await self._revoked.add(session_ids)
        async with self._sessions.begin() as session:
            await LoginSessionRepository(session).mark_revoked(session_ids)

    async def publish_due(self) -> None:
        """Tell the gateway of what it could not be told before. Raises `UnavailableError` like `publish`."""
        async with self._sessions.begin() as session:
            repository = LoginSessionRepository(session)
            due = await repository.list_revocations_due(BATCH)
            REVOCATIONS_DUE.set(len(due))
            if not due:
                return
            forgotten = self._clock() - self._revoked.remembered_for
            still_dangerous = [login.id for login in due if login.ended_at is None or login.ended_at > forgotten]
            if still_dangerous:
                await self._revoked.add(still_dangerous)
            await repository.mark_revoked([login.id for login in due])
        REVOCATIONS_DUE.set(0)
