"""Who administers the platform."""

import structlog

from alta_common.audit import AuditEntry, AuditTrail
from alta_common.db.engine import Sessions
from alta_common.errors import ConflictError, NotFoundError
from alta_identity.models.base import Clock
from alta_identity.models.email_address import EmailAddress
from alta_identity.repositories.accounts import AccountRepository

log = structlog.get_logger()


class AdministratorService:
    """Use cases of the command line: the first administrator cannot be made by another one."""

    def __init__(self, sessions: Sessions, trail: AuditTrail, clock: Clock) -> None:
        self._sessions = sessions
        self._trail = trail
        self._clock = clock

    async def promote(self, email: str, operator: str) -> bool:
        """Make the account of an address an administrator; return False when it was one already.

        It counts from the next sign-in or refresh on. Raises `NotFoundError` without such an account and
        `ConflictError` when the account cannot sign in.
        """
        address = EmailAddress.parse_or_none(email)
        async with self._sessions.begin() as session:
            account = await AccountRepository(session).lock_by_email(address.key) if address else None
            if account is None:
                raise NotFoundError(f"there is no account with the address {email}")
            if not account.may_sign_in:
                raise ConflictError(
                    f"the account of {email} cannot sign in: its address is not proven, or it is disabled"
                )
            if account.is_admin:
                return False
            account.promote(self._clock())
            details = {"role": account.role.value, "operator": operator}
            entry = AuditEntry(None, "account.promoted", "account", account.id, account.id, details)
            await self._trail.record(session, entry)
        log.info("account.promoted", account_id=str(account.id), operator=operator)
        return True
