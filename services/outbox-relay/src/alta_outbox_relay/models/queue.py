"""Queues as operators see them."""

from dataclasses import dataclass
from enum import StrEnum


class QueueKind(StrEnum):
    """What a queue is for."""

    WORK = "work"
    RETRY = "retry"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of the topology."""

    name: str
    kind: QueueKind


@dataclass(frozen=True, slots=True)
class QueueCount:
    """What the broker itself says at this moment."""

    ready: int
    consumers: int


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """What only the management API knows; it is up to five seconds old."""

    unacknowledged: int | None


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue with its numbers; None is unknown. A queue that is not declared has none."""

    name: str
    kind: QueueKind
    is_declared: bool
    ready: int | None
    unacknowledged: int | None
    consumers: int | None
    head_age_seconds: float | None
