"""A mail on its way: what makes one event one mail."""

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import DateTime, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from alta_common.errors import UnavailableError
from alta_notifications.models.base import Base

# Longer than handing a mail over may take (`smtp_timeout_seconds`), so that a live sender is never overtaken.
LEASE = timedelta(seconds=30)
_MAX_ERROR_CHARACTERS = 500


class DeliveryStatus(StrEnum):
    """How far a mail has come."""

    SENDING = "sending"
    WAITING = "waiting"
    SENT = "sent"
    REFUSED = "refused"
    FAILED = "failed"


class DeliveryBusyError(UnavailableError):
    """Somebody else hands this very mail over at the moment, or died while doing it a few seconds ago."""

    code = "delivery_busy"


class Delivery(Base):
    """The one mail of an event.

    The address is kept as a hash: enough to answer "did we write to this address?", and nothing to erase when its
    owner leaves.
    """

    __tablename__ = "delivery"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    template: Mapped[str] = mapped_column(String(100))
    recipient_hash: Mapped[str] = mapped_column(String(64), index=True)
    message_id: Mapped[str] = mapped_column(String(400))
    status: Mapped[str] = mapped_column(String(20))
    attempts: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    sent_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    @property
    def is_done(self) -> bool:
        """Say whether nothing will be sent any more."""
        return self.status in {DeliveryStatus.SENT, DeliveryStatus.REFUSED}

    def claim(self, now: datetime) -> bool:
        """Take the mail to hand it over; False when that is done with.

        Raises `DeliveryBusyError` while another claim is fresh.
        """
        if self.is_done:
            return False
        if self.status == DeliveryStatus.SENDING and self.lease_until is not None and now < self.lease_until:
            raise DeliveryBusyError(f"the mail of event {self.event_id} is being sent")
        self.status = DeliveryStatus.SENDING
        self.lease_until = now + LEASE
        self.attempts += 1
        return True

    def mark_sent(self, now: datetime) -> None:
        """The server has it."""
        self._end(DeliveryStatus.SENT, None)
        self.sent_at = now

    def mark_refused(self, error: str) -> None:
        """The server will never take it for this address."""
        self._end(DeliveryStatus.REFUSED, error)

    def mark_waiting(self, error: str) -> None:
        """It did not work this time."""
        self._end(DeliveryStatus.WAITING, error)

    def mark_failed(self, error: str) -> None:
        """It was tried for the last time; replaying the dead letter may try again."""
        if not self.is_done:
            self._end(DeliveryStatus.FAILED, error)

    def _end(self, status: DeliveryStatus, error: str | None) -> None:
        self.status = status
        self.lease_until = None
        self.last_error = error[:_MAX_ERROR_CHARACTERS] if error else None


def recipient_hash(address: str) -> str:
    """Return what is kept of an address."""
    return hashlib.sha256(address.strip().lower().encode()).hexdigest()
