from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from alta_identity.application.journal import Journal
from alta_identity.application.mails import Mails
from alta_identity.models.account import Account
from alta_identity.models.login_session import EndReason, LoginSession, RefreshToken
from alta_identity.repositories.accounts import AccountRepository
from alta_identity.repositories.login_sessions import LoginSessionRepository
from alta_identity.security.opaque import digest, new_token, open_with, seal_with


@dataclass(frozen=True, slots=True)
class Rotated:
    """A refresh token led to its successor."""

    account: Account
    login: LoginSession
    refresh_token: str
    expires_at: datetime
    is_repeat: bool = False


@dataclass(frozen=True, slots=True)
class NotRotated:
    """A refresh token led nowhere; `ended_session_id` names the session that ended because of it."""

    reason: str
    ended_session_id: UUID | None = None


class Rotation:
    """What becomes of a refresh token that comes in (RFC 9700, section 4.14.2).

    Outcomes are values, not exceptions: a reused token ends its session, and that must be committed.
    """

    def __init__(self, *, mails: Mails, journal: Journal, idle: timedelta, grace: timedelta) -> None:
        self._mails = mails
        self._journal = journal
        self._idle = idle
        self._grace = grace

    async def rotate(self, session: AsyncSession, presented: str, now: datetime) -> Rotated | NotRotated:
        """Decide in the caller's transaction. All use of one session's tokens waits for the session's row."""
        repository = LoginSessionRepository(session)
        session_id = await repository.find_by_refresh_token(digest(presented))
        login = await repository.lock(session_id) if session_id is not None else None
        if login is None:
            return NotRotated("unknown")
        token = await repository.get_token(digest(presented))
        account = await AccountRepository(session).get(login.account_id)
        if not login.is_live(now) or not account.may_sign_in:
            return NotRotated("ended")
        if token.is_within_grace(self._grace, now):
            return _successor_again(account, login, token, presented)
        if token.used_at is not None:
            return await self._end_family(session, account, login, now)
        if token.is_expired(now):
            return NotRotated("expired")
        successor, expires_at = self._succeed(repository, login, token, presented, now)
        return Rotated(account, login, successor, expires_at)

    def _succeed(
        self,
        repository: LoginSessionRepository,
        login: LoginSession,
        token: RefreshToken,
        presented: str,
        now: datetime,
    ) -> tuple[str, datetime]:
        successor = new_token()
        row = RefreshToken.issue(login, token_hash=digest(successor), idle=self._idle, now=now)
        token.replace(row, seal_with(presented, successor), now)
        login.touch(now)
        repository.add_token(row)
        return successor, row.expires_at

    async def _end_family(
        self, session: AsyncSession, account: Account, login: LoginSession, now: datetime
    ) -> NotRotated:
        # Somebody else has the token: its owner or a thief, and we cannot tell which of them asks now.
        login.end(EndReason.REFRESH_REUSED, now)
        await self._mails.refresh_reuse_warning(session, account)
        await self._journal.record(
            session, account, "session.refresh_reused", actor_id=None, details={"session_id": str(login.id)}
        )
        return NotRotated("reused", login.id)


def _successor_again(account: Account, login: LoginSession, token: RefreshToken, presented: str) -> Rotated:
    assert token.successor_sealed is not None
    assert token.successor_expires_at is not None
    successor = open_with(presented, token.successor_sealed)
    return Rotated(account, login, successor, token.successor_expires_at, is_repeat=True)
