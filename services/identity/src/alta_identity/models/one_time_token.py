from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from alta_common.ids import new_id
from alta_identity.models.account import Account
from alta_identity.models.base import Base, Timestamp, text_of
from alta_identity.models.errors import InvalidTokenError


class TokenPurpose(StrEnum):
    """What a mailed token proves."""

    VERIFY_EMAIL = "verify_email"


class OneTimeToken(Base):
    """A token that was mailed to an account's address. Only its SHA-256 is kept."""

    __tablename__ = "one_time_token"
    __table_args__ = (Index("ix_one_time_token_account_id_purpose", "account_id", "purpose"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey(Account.id, ondelete="CASCADE"))
    purpose: Mapped[TokenPurpose] = mapped_column(text_of(TokenPurpose))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    expires_at: Mapped[datetime] = mapped_column(Timestamp)
    used_at: Mapped[datetime | None] = mapped_column(Timestamp)
    withdrawn_at: Mapped[datetime | None] = mapped_column(Timestamp)

    @classmethod
    def issue(
        cls, account_id: UUID, purpose: TokenPurpose, *, token_hash: bytes, life: timedelta, now: datetime
    ) -> Self:
        """Return the row of a token that is about to be mailed."""
        return cls(
            id=new_id(),
            account_id=account_id,
            purpose=purpose,
            token_hash=token_hash,
            created_at=now,
            expires_at=now + life,
            used_at=None,
            withdrawn_at=None,
        )

    def use(self, now: datetime) -> None:
        """Spend the token. Raises `InvalidTokenError` when it was spent or withdrawn before, or is too old."""
        if self.used_at is not None or self.withdrawn_at is not None or now >= self.expires_at:
            raise InvalidTokenError("this token was used before, has expired, or was replaced by a newer one")
        self.used_at = now
