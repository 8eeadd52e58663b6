"""An event on its way out, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class PendingEvent(NamedTuple):
    """An event as the outbox holds it. Its fields are the columns of the statements that fetch, in their order.

    A tuple and no dataclass: one is made for every event of every backlog, and this costs a third.
    """

    schema: str
    shard: int
    id: int
    attempts: int
    event_id: UUID
    event_type: str
    exchange: str
    routing_key: str
    aggregate_type: str
    aggregate_id: UUID
    body: bytes
    headers: dict[str, str]
    """Those that are stored; `alta_common.outbox.headers.headers_of` has all of them."""
    correlation_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that was not taken, and why."""

    event: PendingEvent
    reason: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits in an outbox."""

    depth: int
    """Exact up to `COUNTED` events; above that, PostgreSQL's own estimate."""
    parked: int
    oldest_seconds: float
