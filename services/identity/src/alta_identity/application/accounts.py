from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.contracts.identity import UserRegistered
from alta_common.contracts.principal import Principal
from alta_common.db.engine import Sessions
from alta_common.http.idempotency import StoredAnswer
from alta_common.outbox import Outbox
from alta_identity.application.even_time import no_sooner_than
from alta_identity.application.journal import Journal
from alta_identity.application.mails import Mails
from alta_identity.application.once import Once, Registrars
from alta_identity.metrics import REGISTRATIONS, VERIFICATIONS
from alta_identity.models.account import Account
from alta_identity.models.base import Clock
from alta_identity.models.email_address import EmailAddress
from alta_identity.models.errors import InvalidTokenError, TokenRevokedError
from alta_identity.models.one_time_token import OneTimeToken, TokenPurpose
from alta_identity.repositories.accounts import AccountRepository
from alta_identity.repositories.one_time_tokens import OneTimeTokenRepository
from alta_identity.security.opaque import digest, new_token
from alta_identity.security.password_rules import PasswordRules
from alta_identity.security.passwords import Passwords


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """Times that the use cases of accounts keep to."""

    verification_life: timedelta = timedelta(hours=24)
    even_answer: timedelta = timedelta(milliseconds=150)


class AccountService:
    """Registering, proving an address, and the profile."""

    def __init__(
        self,
        sessions: Sessions,
        *,
        passwords: Passwords,
        rules: PasswordRules,
        outbox: Outbox,
        mails: Mails,
        journal: Journal,
        registrars: Registrars,
        limits: AccountLimits,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._passwords = passwords
        self._rules = rules
        self._outbox = outbox
        self._mails = mails
        self._journal = journal
        self._registrars = registrars
        self._limits = limits
        self._clock = clock

    async def register(self, email: str, password: str, full_name: str, once: Once) -> StoredAnswer | None:
        """Take a registration and have a mail sent to the address. Known and unknown addresses look the same.

        Returns the stored answer when the same registration came before with the same idempotency key.
        Raises `InvalidError` for what is no address, `PasswordRefusedError`, and `UnavailableError` when too many
        passwords wait to be hashed.
        """
        address = EmailAddress.parse(email)
        async with no_sooner_than(self._limits.even_answer):
            await self._passwords.check(self._rules, password, [*address.words, full_name])
            # Before the transaction, and for known addresses too: it takes the most time of all.
            password_hash = await self._passwords.hash(password)
            async with self._sessions.begin() as session:
                answered = await self._registrars.replay(session, once, address.key, password, full_name)
                if answered is None:
                    await self._admit(session, address, full_name, password_hash)
                    await self._registrars.keep(session, once, address.key)
                return answered

    async def _admit(self, session: AsyncSession, address: EmailAddress, full_name: str, password_hash: str) -> None:
        now = self._clock()
        wanted = Account.register(address, full_name=full_name, password_hash=password_hash, now=now)
        account, is_new = await AccountRepository(session).claim(wanted)
        if account.is_verified:
            await self._mails.already_registered(session, account)
            await self._journal.record(session, account, "account.registration_repeated", actor_id=None)
            REGISTRATIONS.labels("known").inc()
            return
        if not is_new:
            account.register_again(address, full_name=full_name, password_hash=password_hash, now=now)
        await self._send_verification(session, account)
        await self._journal.record(session, account, "account.registered", actor_id=None)
        REGISTRATIONS.labels("new" if is_new else "again").inc()

    async def verify_email(self, token: str) -> None:
        """Open an account to whoever received the mail. From here on the user counts as registered.

        Raises `InvalidTokenError` for a token that is unknown, expired, replaced or used before.
        """
        token_hash = digest(token)
        async with self._sessions.begin() as session:
            tokens = OneTimeTokenRepository(session)
            account_id = await tokens.find_owner(token_hash, TokenPurpose.VERIFY_EMAIL)
            if account_id is None:
                raise InvalidTokenError("this token is not one of ours, or it has expired")
            # The account first, as everywhere: two who lock in different orders would wait for each other.
            account = await AccountRepository(session).lock(account_id)
            found = await tokens.lock(token_hash)
            if found is None:
                raise InvalidTokenError("this token has expired")
            now = self._clock()
            found.use(now)
            account.verify(now)
            registered = UserRegistered(user_id=account.id, email=account.email, full_name=account.full_name)
            await self._outbox.add(session, registered)
            await self._journal.record(session, account, "account.verified", actor_id=account.id)
        VERIFICATIONS.inc()

    async def resend_verification(self, email: str) -> None:
        """Send the verification mail again where one is due; what is not due looks the same.

        Raises `InvalidError` for what is no address.
        """
        address = EmailAddress.parse(email)
        async with no_sooner_than(self._limits.even_answer), self._sessions.begin() as session:
            account = await AccountRepository(session).lock_by_email(address.key)
            if account is None or account.is_verified:
                return
            await self._send_verification(session, account)
            await self._journal.record(session, account, "account.verification_resent", actor_id=None)

    async def profile(self, principal: Principal) -> Account:
        """Return the caller's account. Raises `TokenRevokedError` when the session has ended."""
        async with self._sessions() as session:
            return await self._signed_in(session, principal)

    async def rename(self, principal: Principal, full_name: str, require: Callable[[Account], None]) -> Account:
        """Give the caller's account a new name and return it.

        `require` is called with the locked account and raises when the change was meant for another version.
        Raises `TokenRevokedError` when the session has ended.
        """
        async with self._sessions.begin() as session:
            await self._signed_in(session, principal)
            account = await AccountRepository(session).lock(principal.user_id)
            require(account)
            account.rename(full_name, self._clock())
            await self._journal.record(
                session, account, "account.changed", actor_id=account.id, details={"field": "full_name"}
            )
            return account

    async def _signed_in(self, session: AsyncSession, principal: Principal) -> Account:
        account = await AccountRepository(session).find_signed_in(
            principal.user_id, principal.session_id, self._clock()
        )
        if account is None or not account.may_sign_in:
            raise TokenRevokedError("the session of this access token has ended; sign in again")
        return account

    async def _send_verification(self, session: AsyncSession, account: Account) -> None:
        now = self._clock()
        token = new_token()
        tokens = OneTimeTokenRepository(session)
        await tokens.withdraw_all(account.id, TokenPurpose.VERIFY_EMAIL, now)
        tokens.add(
            OneTimeToken.issue(
                account.id,
                TokenPurpose.VERIFY_EMAIL,
                token_hash=digest(token),
                life=self._limits.verification_life,
                now=now,
            )
        )
        await self._mails.verify_email(session, account, token)
