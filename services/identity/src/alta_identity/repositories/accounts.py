from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, literal_column, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.errors import NotFoundError
from alta_identity.models.account import Account
from alta_identity.models.login_session import LoginSession


class AccountRepository:
    """Accounts in PostgreSQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def claim(self, account: Account) -> tuple[Account, bool]:
        """Store a new account, or find the one that has its address; locked either way.

        Returns the stored account and whether it is the new one. One statement, so that of two registrations at
        once one waits for the other and then finds its account.
        """
        values = {column.name: getattr(account, column.name) for column in Account.__table__.columns}
        wanted = insert(Account).values(values)
        # PostgreSQL leaves xmax 0 on a row that the statement inserted, and sets it on one that it updated.
        claimed = wanted.on_conflict_do_update(
            index_elements=["email_key"], set_={"email_key": wanted.excluded.email_key}
        ).returning(Account.id, literal_column("xmax = 0", Boolean))
        account_id, is_new = (await self._session.execute(claimed)).one()
        return await self._session.get_one(Account, account_id), is_new

    async def find_by_email(self, email_key: str) -> Account | None:
        """Return the account that has the address, if any."""
        return await self._session.scalar(select(Account).where(Account.email_key == email_key))

    async def lock_by_email(self, email_key: str) -> Account | None:
        """Return the account that has the address, locked until the transaction ends, if any."""
        return await self._session.scalar(select(Account).where(Account.email_key == email_key).with_for_update())

    async def get(self, account_id: UUID) -> Account:
        """Return an account. Raises `NotFoundError`."""
        return _found(await self._session.get(Account, account_id))

    async def lock(self, account_id: UUID) -> Account:
        """Return an account, locked until the transaction ends. Raises `NotFoundError`."""
        return _found(await self._session.get(Account, account_id, with_for_update=True, populate_existing=True))

    async def find_signed_in(self, account_id: UUID, session_id: UUID, now: datetime) -> Account | None:
        """Return the account when the session is its own and still open."""
        statement = (
            select(Account)
            .join(LoginSession, LoginSession.account_id == Account.id)
            .where(Account.id == account_id, LoginSession.id == session_id)
            .where(LoginSession.ended_at.is_(None), LoginSession.expires_at > now)
        )
        return await self._session.scalar(statement)


def _found(account: Account | None) -> Account:
    if account is None:
        raise NotFoundError("there is no such account")
    return account
