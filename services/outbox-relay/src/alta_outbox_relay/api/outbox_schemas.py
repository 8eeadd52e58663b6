"""Events in requests and answers."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from alta_common.http.app import ApiModel
from alta_outbox_relay.api.fields import Moment, Reason, Word
from alta_outbox_relay.api.shown import payload_of, raw_of
from alta_outbox_relay.application.outbox import REPLAYED_AT_ONCE
from alta_outbox_relay.models.outbox_event import EventContent, EventStatus, OutboxEvent, OutboxFilter


class EventOut(BaseModel):
    """An event in an outbox."""

    model_config = ConfigDict(from_attributes=True)

    event_id: UUID
    outbox: str = Field(alias="schema", description="The service whose outbox it lies in.")
    id: int = Field(description="Its number in that outbox; the events of an aggregate are published in this order.")
    event_type: str
    status: EventStatus = Field(
        description="`PENDING`: waits. `PROCESSING`: a relay has fetched it. `COMPLETED`: the broker has confirmed it. "
        "`FAILED`: waits for `next_attempt_at`. `PARKED`: waits for a person."
    )
    exchange: str
    routing_key: str
    aggregate_type: str
    aggregate_id: UUID
    attempts: int
    next_attempt_at: datetime | None
    last_error: str | None
    parked_at: datetime | None
    created_at: datetime
    deliver_at: datetime | None = Field(description="Not before this time, where its writer asked for one.")
    correlation_id: str | None = Field(description="`X-Request-ID` of the request that caused it.")


class EventDetailsOut(EventOut):
    """An event with what it says."""

    headers: dict[str, Any]
    payload: Any = Field(description="The CloudEvents envelope. What was sealed in it stays sealed.")
    payload_base64: str | None = Field(description="The body, where it is no JSON that can be shown.")
    size_bytes: int

    @classmethod
    def of_content(cls, event: OutboxEvent, content: EventContent) -> Self:
        """Return an event with its content."""
        return cls(
            **EventOut.model_validate(event).model_dump(by_alias=True),
            headers=content.headers,
            payload=payload_of(content.body),
            payload_base64=raw_of(content.body),
            size_bytes=len(content.body),
        )


class EventFilterIn(ApiModel):
    """Which events to put back in line."""

    status: Literal[EventStatus.PARKED, EventStatus.FAILED, EventStatus.COMPLETED]
    event_type: Word | None = None
    aggregate_id: UUID | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None

    def to_filter(self) -> OutboxFilter:
        """Return what the use case takes."""
        return OutboxFilter(
            frozenset({EventStatus(self.status)}),
            self.event_type,
            self.aggregate_id,
            self.created_after,
            self.created_before,
        )


class ReplayIn(ApiModel):
    """What to put back in line: events by id, or those that a filter finds."""

    outbox: Word = Field(alias="schema", description="The service whose outbox is meant.")
    event_ids: Annotated[list[UUID], Field(min_length=1, max_length=REPLAYED_AT_ONCE)] | None = None
    filter: EventFilterIn | None = None
    limit: int = Field(REPLAYED_AT_ONCE, ge=1, le=REPLAYED_AT_ONCE, description="Of a filter: how many in this call.")
    cursor: str | None = Field(None, max_length=1024, description="Of a filter: `next_cursor` of the call before.")
    dry_run: bool = Field(False, description="Only say what would be done.")

    @model_validator(mode="after")
    def _names_events_once(self) -> Self:
        if (self.event_ids is None) == (self.filter is None):
            raise ValueError("either event_ids or filter says which events")
        if self.event_ids is not None and self.cursor is not None:
            raise ValueError("a cursor belongs to a filter")
        return self


class ReplayOut(BaseModel):
    """What was put back in line."""

    dry_run: bool
    matched: int = Field(description="How many events the filter finds from the cursor on; counted up to 100,000.")
    selected: int = Field(description="How many of them this call was about.")
    replayed: int
    already_waiting: int = Field(description="How many of the selected were in line anyway.")
    first: list[EventOut] = Field(description="The first of the selected, ten at the most.")
    next_cursor: str | None = Field(description="What to send as `cursor` to go on; null when nothing is left.")


class ParkIn(ApiModel):
    """Why an event is taken out of its line."""

    reason: Reason
