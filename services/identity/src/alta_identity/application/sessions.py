from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.contracts.principal import Principal
from alta_common.db.engine import Sessions
from alta_common.errors import UnavailableError
from alta_common.telemetry.context import client_address
from alta_identity.application.even_time import no_sooner_than
from alta_identity.application.journal import Journal
from alta_identity.application.revocations import RevocationService
from alta_identity.application.rotation import Rotated, Rotation
from alta_identity.metrics import REFRESHES, SESSIONS_ENDED, SIGN_INS
from alta_identity.models.account import Account
from alta_identity.models.base import Clock
from alta_identity.models.email_address import EmailAddress
from alta_identity.models.errors import InvalidCredentialsError, InvalidRefreshTokenError
from alta_identity.models.login_session import EndReason, LoginSession, RefreshToken
from alta_identity.repositories.accounts import AccountRepository
from alta_identity.repositories.login_sessions import LoginSessionRepository
from alta_identity.security.opaque import digest, new_token
from alta_identity.security.passwords import Passwords
from alta_identity.security.tokens import AccessTokens

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Times that the use cases of sessions keep to."""

    idle: timedelta = timedelta(days=14)
    longest: timedelta = timedelta(days=90)
    grace: timedelta = timedelta(seconds=30)
    even_answer: timedelta = timedelta(milliseconds=150)


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client gets when it signs in or refreshes."""

    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int


class SessionService:
    """Signing in, staying signed in, signing out."""

    def __init__(
        self,
        sessions: Sessions,
        *,
        passwords: Passwords,
        tokens: AccessTokens,
        rotation: Rotation,
        revocations: RevocationService,
        journal: Journal,
        limits: SessionLimits,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._passwords = passwords
        self._tokens = tokens
        self._rotation = rotation
        self._revocations = revocations
        self._journal = journal
        self._limits = limits
        self._clock = clock

    async def sign_in(self, email: str, password: str, user_agent: str | None) -> TokenPair:
        """Open a session.

        Raises `InvalidCredentialsError`, always the same and after the same time, for an unknown address, a wrong
        password, an unproven or disabled account; `UnavailableError` when too many passwords wait to be checked.
        """
        async with no_sooner_than(self._limits.even_answer):
            account = await self._find(email)
            matches = await self._passwords.verify(password, account.password_hash if account else None)
            if account is None:
                raise await self._refused(email, None, "unknown")
            if not matches:
                raise await self._refused(email, account, "wrong_password")
            stronger = await self._strengthened(password, account)
            pair = await self._open(account, stronger, user_agent)
            if pair is None:
                raise await self._refused(email, account, "not_allowed")
        SIGN_INS.labels("ok").inc()
        return pair

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Trade a refresh token for new tokens.

        Used again within the grace time it gives the same successor once more; later its whole session ends.
        Raises `InvalidRefreshTokenError` for anything that does not lead to new tokens.
        """
        async with self._sessions.begin() as session:
            outcome = await self._rotation.rotate(session, refresh_token, self._clock())
        if isinstance(outcome, Rotated):
            REFRESHES.labels("repeated" if outcome.is_repeat else "ok").inc()
            return self._pair(outcome.account, outcome.login, outcome.refresh_token, outcome.expires_at)
        REFRESHES.labels(outcome.reason).inc()
        if outcome.ended_session_id is not None:
            await self._tell_gateway_soon(outcome.ended_session_id)
        raise InvalidRefreshTokenError("this refresh token is not valid any more; sign in again")

    async def sign_out(self, principal: Principal, refresh_token: str | None) -> None:
        """End the caller's session, and the one that `refresh_token` belongs to when it is the caller's too.

        Raises `UnavailableError` when the session has ended but the gateway could not be told: access tokens may
        then work there until they expire. Doing it again tries again, and so does the service by itself.
        """
        async with self._sessions.begin() as session:
            repository = LoginSessionRepository(session)
            wanted = {principal.session_id}
            if refresh_token is not None:
                wanted.add(await repository.find_by_refresh_token(digest(refresh_token)) or principal.session_id)
            # In one order for everybody: two who lock in different orders would wait for each other.
            ended = [await self._end(session, session_id, principal.user_id) for session_id in sorted(wanted)]
        await self._revocations.publish([session_id for session_id in ended if session_id is not None])

    async def _end(self, session: AsyncSession, session_id: UUID, account_id: UUID) -> UUID | None:
        login = await LoginSessionRepository(session).lock(session_id)
        if login is None or login.account_id != account_id:
            return None
        if login.end(EndReason.SIGNED_OUT, self._clock()):
            account = await AccountRepository(session).get(account_id)
            details = {"session_id": str(session_id)}
            await self._journal.record(session, account, "session.ended", actor_id=account_id, details=details)
            SESSIONS_ENDED.labels(EndReason.SIGNED_OUT.value).inc()
        return session_id

    async def _find(self, email: str) -> Account | None:
        address = EmailAddress.parse_or_none(email)
        async with self._sessions() as session:
            # Also for what is no address at all: it must take the same time.
            return await AccountRepository(session).find_by_email(address.key if address else "")

    async def _strengthened(self, password: str, account: Account) -> str | None:
        if not account.may_sign_in or not self._passwords.is_outdated(account.password_hash):
            return None
        return await self._passwords.hash(password)

    async def _open(self, seen: Account, stronger: str | None, user_agent: str | None) -> TokenPair | None:
        now = self._clock()
        async with self._sessions.begin() as session:
            account = await AccountRepository(session).lock(seen.id)
            # What was checked without the lock must still be so: a password may have been reset in between.
            if not account.may_sign_in or account.password_hash != seen.password_hash:
                return None
            if stronger is not None:
                account.strengthen_hash(stronger)
            login = LoginSession.start(
                account.id,
                life=self._limits.longest,
                user_agent=user_agent,
                client_address=client_address(),
                now=now,
            )
            token = new_token()
            row = RefreshToken.issue(login, token_hash=digest(token), idle=self._limits.idle, now=now)
            await LoginSessionRepository(session).add(login, row)
            details = {"session_id": str(login.id)}
            await self._journal.record(session, account, "session.started", actor_id=account.id, details=details)
            return self._pair(account, login, token, row.expires_at)

    async def _refused(self, email: str, account: Account | None, reason: str) -> InvalidCredentialsError:
        SIGN_INS.labels(reason).inc()
        async with self._sessions.begin() as session:
            if account is None:
                await self._journal.record_stranger(session, email.strip().casefold(), "sign_in.refused")
            else:
                details = {"reason": reason}
                await self._journal.record(session, account, "sign_in.refused", actor_id=None, details=details)
        return InvalidCredentialsError("the address or the password is wrong, or the account cannot sign in")

    async def _tell_gateway_soon(self, session_id: UUID) -> None:
        SESSIONS_ENDED.labels(EndReason.REFRESH_REUSED.value).inc()
        try:
            await self._revocations.publish([session_id])
        except UnavailableError as error:
            log.warning("revocation.postponed", session_id=str(session_id), error=error.detail)

    def _pair(self, account: Account, login: LoginSession, refresh_token: str, expires_at: datetime) -> TokenPair:
        now = self._clock()
        access = self._tokens.issue(account, login, now)
        return TokenPair(
            access_token=access.token,
            expires_in=access.expires_in,
            refresh_token=refresh_token,
            refresh_expires_in=max(0, int((expires_at - now).total_seconds())),
        )
