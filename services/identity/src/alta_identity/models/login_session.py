from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from alta_common.errors import ConflictError
from alta_common.ids import new_id
from alta_identity.models.account import Account
from alta_identity.models.base import Base, Timestamp, text_of

USER_AGENT_CHARACTERS = 256


class EndReason(StrEnum):
    """Why a session ended before its time."""

    SIGNED_OUT = "signed_out"
    REFRESH_REUSED = "refresh_reused"


class LoginSession(Base):
    """A sign-in on one device: the family of refresh tokens that descend from it, and `sid` of its access tokens."""

    __tablename__ = "login_session"
    __table_args__ = (
        Index("ix_login_session_account_id", "account_id"),
        # Few rows at any time: sessions that have ended and whose access tokens the gateway must still be told of.
        Index("ix_login_session_revocation_due", "ended_at", postgresql_where=text("revocation_due")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey(Account.id, ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    last_used_at: Mapped[datetime] = mapped_column(Timestamp)
    expires_at: Mapped[datetime] = mapped_column(Timestamp)
    ended_at: Mapped[datetime | None] = mapped_column(Timestamp)
    end_reason: Mapped[EndReason | None] = mapped_column(text_of(EndReason))
    revocation_due: Mapped[bool]
    user_agent: Mapped[str | None] = mapped_column(String(USER_AGENT_CHARACTERS))
    client_address: Mapped[str | None] = mapped_column(String(64))

    @classmethod
    def start(
        cls, account_id: UUID, *, life: timedelta, user_agent: str | None, client_address: str | None, now: datetime
    ) -> Self:
        """Return a new session that lasts `life` at most."""
        return cls(
            id=new_id(),
            account_id=account_id,
            created_at=now,
            last_used_at=now,
            expires_at=now + life,
            ended_at=None,
            end_reason=None,
            revocation_due=False,
            user_agent=user_agent[:USER_AGENT_CHARACTERS] if user_agent else None,
            client_address=client_address,
        )

    def is_live(self, now: datetime) -> bool:
        """Say whether the session can still be used."""
        return self.ended_at is None and now < self.expires_at

    def touch(self, now: datetime) -> None:
        """Note that the session is in use."""
        self.last_used_at = now

    def end(self, reason: EndReason, now: datetime) -> bool:
        """End the session; say whether it was still open. The gateway is due to be told either way."""
        self.revocation_due = True
        if self.ended_at is not None:
            return False
        self.ended_at = now
        self.end_reason = reason
        return True


class RefreshToken(Base):
    """One refresh token of a session; the SHA-256 of the token is its key, the token itself is not kept."""

    __tablename__ = "refresh_token"
    __table_args__ = (Index("ix_refresh_token_session_id", "session_id"),)

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey(LoginSession.id, ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    expires_at: Mapped[datetime] = mapped_column(Timestamp)
    used_at: Mapped[datetime | None] = mapped_column(Timestamp)
    successor_sealed: Mapped[str | None] = mapped_column(Text)
    successor_expires_at: Mapped[datetime | None] = mapped_column(Timestamp)

    @classmethod
    def issue(cls, session: LoginSession, *, token_hash: bytes, idle: timedelta, now: datetime) -> Self:
        """Return the row of a new token; it lives while the session is used, never longer than the session."""
        return cls(
            token_hash=token_hash,
            session_id=session.id,
            created_at=now,
            expires_at=min(now + idle, session.expires_at),
            used_at=None,
            successor_sealed=None,
            successor_expires_at=None,
        )

    def is_expired(self, now: datetime) -> bool:
        """Say whether the token is too old to be used."""
        return now >= self.expires_at

    def replace(self, successor: "RefreshToken", sealed: str, now: datetime) -> None:
        """Spend the token for its successor. Raises `ConflictError` when it is spent already."""
        if self.used_at is not None:
            raise ConflictError("this refresh token is spent")
        self.used_at = now
        self.successor_sealed = sealed
        self.successor_expires_at = successor.expires_at

    def is_within_grace(self, grace: timedelta, now: datetime) -> bool:
        """Say whether a spent token may give its successor once more: a client whose answer was lost asks again."""
        return self.used_at is not None and self.successor_sealed is not None and now <= self.used_at + grace
