"""An event on its way out, and what became of it."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An event as the outbox holds it."""

    schema: str
    shard: int
    id: int
    attempts: int
    event_id: UUID
    event_type: str
    exchange: str
    routing_key: str
    aggregate_id: UUID
    body: bytes
    headers: dict[str, str]
    correlation_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that was not taken, and why."""

    event: PendingEvent
    reason: str


@dataclass(slots=True)
class Outcome:
    """What became of a batch; an event in none of these was not tried, or its fate is unknown: it stays as it was."""

    confirmed: list[PendingEvent] = field(default_factory=list)
    refused: list[Failure] = field(default_factory=list)
    """Not routed, or nacked: to be tried again."""
    faulty: list[Failure] = field(default_factory=list)
    """Wrong in themselves: to be parked."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits in an outbox."""

    depth: int
    parked: int
    oldest_seconds: float
