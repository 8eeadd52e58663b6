"""Dead letters as operators see them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from alta_common.errors import ConflictError, NotFoundError


class QueueNotFoundError(NotFoundError):
    """There is no such queue of dead letters."""

    code = "queue_not_found"


class DeadLetterNotFoundError(NotFoundError):
    """No such message is among those that were looked at."""

    code = "dead_letter_not_found"


class DeadLettersBusyError(ConflictError):
    """Somebody else is working on this queue at the moment."""

    code = "dead_letters_busy"


class DeadLettersMovedError(ConflictError):
    """The message behind which a page begins has left the queue."""

    code = "dead_letters_moved"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that nobody could handle. Everything but `message_id` and `size_bytes` is what it says of itself."""

    message_id: str
    queue: str
    event_type: str | None
    reason: str | None
    error: str | None
    failed_at: datetime | None
    attempts: int | None
    exchange: str
    routing_key: str
    correlation_id: str | None
    size_bytes: int
    content_type: str | None
    headers: dict[str, Any] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which messages; None means any."""

    event_type: str | None = None
    reason: str | None = None
    message_ids: frozenset[str] | None = None

    def matches(self, letter: DeadLetter) -> bool:
        """Say whether a message is meant."""
        return (
            (self.event_type is None or letter.event_type == self.event_type)
            and (self.reason is None or letter.reason == self.reason)
            and (self.message_ids is None or letter.message_id in self.message_ids)
        )
