from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.contracts.identity import IdentityEmailRequested
from alta_common.ids import new_id
from alta_common.outbox import Outbox
from alta_common.sealing import Sealer
from alta_identity.models.account import Account


class Mails:
    """Asks notifications, through the outbox, to write to the owner of an account."""

    def __init__(self, outbox: Outbox, sealer: Sealer) -> None:
        self._outbox = outbox
        self._sealer = sealer

    async def verify_email(self, session: AsyncSession, account: Account, token: str) -> None:
        """Send the token that proves the address. Only the sealed part of the event holds it."""
        await self._send(session, "verify_email", account, self._sealer.seal({"token": token}))

    async def already_registered(self, session: AsyncSession, account: Account) -> None:
        """Tell the owner that somebody tried to register the address again."""
        await self._send(session, "already_registered", account)

    async def refresh_reuse_warning(self, session: AsyncSession, account: Account) -> None:
        """Tell the owner that a spent refresh token came back, and that the session was ended."""
        await self._send(session, "refresh_reuse_warning", account)

    async def _send(self, session: AsyncSession, template: str, account: Account, sealed: str | None = None) -> None:
        await self._outbox.add(
            session,
            IdentityEmailRequested(
                email_id=new_id(),
                template=template,
                to=account.email,
                values={"full_name": account.full_name},
                sealed=sealed,
            ),
        )
