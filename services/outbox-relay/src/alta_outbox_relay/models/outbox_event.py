"""Events as operators see them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from alta_common.errors import ConflictError, NotFoundError


class EventStatus(StrEnum):
    """Where an event stands; the view `outbox_events` says how it is known."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    PARKED = "PARKED"


WAITING = frozenset({EventStatus.PENDING, EventStatus.PROCESSING, EventStatus.FAILED})
REPLAYABLE = frozenset({EventStatus.PARKED, EventStatus.FAILED, EventStatus.COMPLETED})


class EventNotFoundError(NotFoundError):
    """No outbox holds such an event (any more)."""

    code = "event_not_found"


class EventNotWaitingError(ConflictError):
    """Only an event that waits, and that no relay is publishing, can be parked."""

    code = "event_not_waiting"


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """An event of one outbox, without its content."""

    schema: str
    id: int
    event_id: UUID
    event_type: str
    exchange: str
    routing_key: str
    aggregate_type: str
    aggregate_id: UUID
    shard: int
    correlation_id: str | None
    created_at: datetime
    deliver_at: datetime | None
    status: EventStatus
    attempts: int
    next_attempt_at: datetime | None
    last_error: str | None
    parked_at: datetime | None

    @property
    def key(self) -> "EventKey":
        """Return where its row is."""
        return EventKey(self.id, self.created_at)

    def refuse_unless_waiting(self) -> None:
        """Raise `EventNotWaitingError` unless it can be taken out of its line."""
        if self.status not in {EventStatus.PENDING, EventStatus.FAILED}:
            raise EventNotWaitingError(
                f"It is {self.status.value}: only what is PENDING or FAILED can be parked, and nothing that a relay "
                "is publishing."
            )


@dataclass(frozen=True, slots=True)
class EventKey:
    """Where an event's row is: its number, and the day's partition."""

    id: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class EventContent:
    """What an event's message says."""

    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class OutboxFilter:
    """Which events; what is None (or empty) means any."""

    statuses: frozenset[EventStatus] = frozenset()
    event_type: str | None = None
    aggregate_id: UUID | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
