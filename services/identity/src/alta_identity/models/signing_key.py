from datetime import datetime
from typing import Any, Self

from sqlalchemy import Index, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from alta_identity.models.base import Base, Timestamp


class SigningKey(Base):
    """A key that signs access tokens from `active_from` until a later key does; published from `created_at` on."""

    __tablename__ = "signing_key"
    __table_args__ = (Index("ix_signing_key_active_from", "active_from"),)

    kid: Mapped[str] = mapped_column(String(64), primary_key=True)
    algorithm: Mapped[str] = mapped_column(String(16))
    public_jwk: Mapped[dict[str, Any]] = mapped_column(JSONB)
    private_sealed: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    active_from: Mapped[datetime] = mapped_column(Timestamp)
    withdraw_at: Mapped[datetime | None] = mapped_column(Timestamp)

    @classmethod
    def issue(
        cls, kid: str, *, public_jwk: dict[str, Any], private_sealed: str, active_from: datetime, now: datetime
    ) -> Self:
        """Return the row of a new ES256 key."""
        return cls(
            kid=kid,
            algorithm="ES256",
            public_jwk=public_jwk,
            private_sealed=private_sealed,
            created_at=now,
            active_from=active_from,
            withdraw_at=None,
        )

    def withdraw(self, at: datetime) -> None:
        """Take the key out of the JWKS at a time by which every token that it signed has expired."""
        if self.withdraw_at is None:
            self.withdraw_at = at
