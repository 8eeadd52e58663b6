from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from alta_common.ids import new_id
from alta_identity.models.base import Base, Timestamp, text_of
from alta_identity.models.email_address import EmailAddress
from alta_identity.models.errors import AlreadyVerifiedError


class Role(StrEnum):
    """What an account may do on the platform (not in a project)."""

    USER = "user"
    ADMIN = "admin"


class Account(Base):
    """A person who can sign in, once the address is proven."""

    __tablename__ = "account"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(320))
    email_key: Mapped[str] = mapped_column(String(320), unique=True)
    full_name: Mapped[str] = mapped_column(String(200))
    role: Mapped[Role] = mapped_column(text_of(Role))
    password_hash: Mapped[str] = mapped_column(Text)
    password_changed_at: Mapped[datetime] = mapped_column(Timestamp)
    verified_at: Mapped[datetime | None] = mapped_column(Timestamp)
    disabled_at: Mapped[datetime | None] = mapped_column(Timestamp)
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    updated_at: Mapped[datetime] = mapped_column(Timestamp)

    @classmethod
    def register(cls, email: EmailAddress, *, full_name: str, password_hash: str, now: datetime) -> Self:
        """Return a new account whose address is not proven yet."""
        return cls(
            id=new_id(),
            email=email.address,
            email_key=email.key,
            full_name=full_name,
            role=Role.USER,
            password_hash=password_hash,
            password_changed_at=now,
            verified_at=None,
            disabled_at=None,
            version=1,
            created_at=now,
            updated_at=now,
        )

    @property
    def is_verified(self) -> bool:
        """Say whether the address was proven."""
        return self.verified_at is not None

    @property
    def may_sign_in(self) -> bool:
        """Say whether the right password opens a session."""
        return self.is_verified and self.disabled_at is None

    @property
    def is_admin(self) -> bool:
        """Say whether the account administers the platform."""
        return self.role is Role.ADMIN

    def register_again(self, email: EmailAddress, *, full_name: str, password_hash: str, now: datetime) -> None:
        """Take the data of a later registration of the same, still unproven address.

        Whoever calls this also makes earlier verification tokens useless: a mail that the first registrant
        caused must not put the second one's password into force, nor the other way round.
        Raises `AlreadyVerifiedError` once the address belongs to somebody.
        """
        self._refuse_when_verified()
        self.email = email.address
        self.full_name = full_name
        self.password_hash = password_hash
        self.password_changed_at = now
        self._changed(now)

    def verify(self, now: datetime) -> None:
        """Note that the address is proven. Raises `AlreadyVerifiedError` the second time."""
        self._refuse_when_verified()
        self.verified_at = now
        self._changed(now)

    def rename(self, full_name: str, now: datetime) -> None:
        """Take a new name."""
        self.full_name = full_name
        self._changed(now)

    def promote(self, now: datetime) -> None:
        """Let the account administer the platform."""
        self.role = Role.ADMIN
        self._changed(now)

    def strengthen_hash(self, password_hash: str) -> None:
        """Store the same password under newer parameters or pepper; nothing that the owner sees changes."""
        self.password_hash = password_hash

    def _refuse_when_verified(self) -> None:
        if self.is_verified:
            raise AlreadyVerifiedError("this address is proven already")

    def _changed(self, now: datetime) -> None:
        self.version += 1
        self.updated_at = now
