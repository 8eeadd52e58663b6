from datetime import timedelta

from alta_common.db.engine import Sessions
from alta_common.http.idempotency import IdempotencyKeys
from alta_identity.models.base import Clock
from alta_identity.repositories.locks import is_my_turn
from alta_identity.repositories.login_sessions import LoginSessionRepository
from alta_identity.repositories.one_time_tokens import OneTimeTokenRepository
from alta_identity.repositories.signing_keys import SigningKeyRepository

# Long enough for a person on call to look at what happened; the audit trail keeps the story for good.
KEPT = timedelta(days=30)


class Housekeeping:
    """Forgets what nobody can use any more."""

    def __init__(self, sessions: Sessions, idempotency: IdempotencyKeys, *, clock: Clock) -> None:
        self._sessions = sessions
        self._idempotency = idempotency
        self._clock = clock

    async def sweep(self) -> None:
        """Delete expired tokens and keys and sessions that are over; one replica at a time does it."""
        now = self._clock()
        async with self._sessions.begin() as session:
            if not await is_my_turn(session, "housekeeping"):
                return
            await OneTimeTokenRepository(session).delete_expired(now - KEPT)
            await LoginSessionRepository(session).delete_over(now - KEPT)
            await SigningKeyRepository(session).delete_withdrawn(now)
            await self._idempotency.sweep(session, now)
