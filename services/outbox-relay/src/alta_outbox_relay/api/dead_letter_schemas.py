"""Queues and dead letters in requests and answers."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from alta_common.http.app import ApiModel
from alta_common.http.pagination import Page
from alta_outbox_relay.api.fields import Word
from alta_outbox_relay.api.shown import payload_of, raw_of
from alta_outbox_relay.application.dead_letters import CHANGED_AT_ONCE
from alta_outbox_relay.models.dead_letter import DeadLetter, DeadLetterFilter
from alta_outbox_relay.models.queue import QueueKind


class QueueOut(BaseModel):
    """A queue with its numbers; null is what nobody can say."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    kind: QueueKind
    is_declared: bool = Field(description="False: no process that uses it has started yet.")
    ready: int | None
    unacknowledged: int | None = Field(description="Null without RABBITMQ_MANAGEMENT_URL; up to five seconds old.")
    consumers: int | None
    head_age_seconds: float | None = Field(
        description="Age of the oldest message: of dead letters since they died, 0 when there is none. Of work and "
        "retry queues null, empty or not, because quorum queues do not say it."
    )


class QueuesOut(BaseModel):
    """All queues."""

    items: list[QueueOut]
    next_cursor: None = Field(None, description="There is one page.")
    is_complete: bool = Field(description="False without a management API: `unacknowledged` is unknown then.")


class DeadLetterQueueOut(BaseModel):
    """A queue of dead letters."""

    queue: str
    source: str = Field(description="The queue that its messages came from, and go back to when they are replayed.")
    messages: int
    oldest_age_seconds: float | None


class DeadLetterQueuesOut(BaseModel):
    """All queues of dead letters."""

    items: list[DeadLetterQueueOut]
    next_cursor: None = Field(None, description="There is one page.")


class DeadLetterOut(BaseModel):
    """A message that nobody could handle. What it says of itself may be wrong."""

    model_config = ConfigDict(from_attributes=True)

    message_id: str = Field(description="Its id; a digest (`sha256-…`) for a message without a usable one.")
    queue: str
    event_type: str | None
    reason: str | None = Field(description="The code of the error, or what the broker noted: `delivery_limit`.")
    error: str | None = Field(
        description="What the last consumer said that gave it back. Of `delivery_limit`: of an attempt before those "
        "that nobody survived; null where there was none."
    )
    failed_at: datetime | None
    attempts: int | None
    exchange: str
    routing_key: str
    correlation_id: str | None
    size_bytes: int


class DeadLetterDetailsOut(DeadLetterOut):
    """A message with what it says."""

    content_type: str | None
    headers: dict[str, Any] = Field(description="Long, deep or many headers are cut short.")
    payload: Any = Field(description="The body, where it is JSON. What was sealed in it stays sealed.")
    payload_base64: str | None = Field(
        description="The body (its first 256 KiB), where it is no JSON, longer, or nested deeper than 100 levels."
    )

    @classmethod
    def of_letter(cls, letter: DeadLetter) -> Self:
        """Return a message with its content."""
        return cls(
            **DeadLetterOut.model_validate(letter).model_dump(),
            content_type=letter.content_type,
            headers=letter.headers,
            payload=payload_of(letter.body),
            payload_base64=raw_of(letter.body),
        )


class DeadLetterPageOut(Page[DeadLetterOut]):
    """A page of a queue, the oldest message first."""

    ready: int = Field(description="How many messages lie in the queue; the first 1,000 can be listed.")


class DeadLetterFilterIn(ApiModel):
    """Which messages; an empty filter means all of them."""

    event_type: Word | None = None
    reason: Word | None = None


class DeadLettersIn(ApiModel):
    """Which messages to do something with: by id, or those that a filter finds."""

    message_ids: Annotated[list[Word], Field(min_length=1, max_length=CHANGED_AT_ONCE)] | None = None
    filter: DeadLetterFilterIn | None = None
    limit: int = Field(CHANGED_AT_ONCE, ge=1, le=CHANGED_AT_ONCE, description="How many messages in this call.")
    dry_run: bool = Field(False, description="Only say what would be done.")

    @model_validator(mode="after")
    def _names_messages_once(self) -> Self:
        if (self.message_ids is None) == (self.filter is None):
            raise ValueError("either message_ids or filter says which messages")
        return self

    def to_filter(self) -> DeadLetterFilter:
        """Return what the use case takes."""
        if self.filter is None:
            return DeadLetterFilter(message_ids=frozenset(self.message_ids or ()))
        return DeadLetterFilter(self.filter.event_type, self.filter.reason)


class HandledOut(BaseModel):
    """What was done."""

    model_config = ConfigDict(from_attributes=True)

    dry_run: bool
    looked_at: int = Field(description="How many messages of the queue were looked at, 2,000 at the most.")
    matched: int
    done: int
    remaining: int = Field(description="What the queue holds now, of whatever kind.")
    is_whole_queue: bool = Field(description="False: there are messages that were not looked at; call again.")
    first: list[DeadLetterOut] = Field(description="The first of those that matched, ten at the most.")
    missing: list[str] = Field(description="Of the ids that were named, those that were not found.")
    failure: str | None = Field(description="Why it stopped early; what was done until then is done.")
