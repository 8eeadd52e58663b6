"""The base of every event, its envelope on the wire (CloudEvents 1.0), and the list of all of them."""

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field

from alta_common.clock import to_rfc3339, utc_now
from alta_common.errors import InvalidError
from alta_common.ids import new_id

CONTENT_TYPE = "application/cloudevents+json"
MAX_EVENT_BYTES = 64 * 1024
SPEC_VERSION = "1.0"
MIRRORED = "cloudEvents:"
"""Before the name of each AMQP header that mirrors an attribute of the envelope."""


class Event(BaseModel, ABC):
    """A fact. Subclasses name their type, exchange, routing key and aggregate, and add their fields."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    TYPE: ClassVar[str]
    EXCHANGE: ClassVar[str]
    ROUTING_KEY: ClassVar[str]
    AGGREGATE: ClassVar[str]

    event_id: UUID = Field(default_factory=new_id)
    occurred_at: datetime = Field(default_factory=utc_now)

    @property
    @abstractmethod
    def aggregate_id(self) -> UUID:
        """Return the id of the thing that the event is about; its events stay in order."""

    @classmethod
    def source(cls) -> str:
        """Return the CloudEvents `source`: the publishing service."""
        return source_of(cls.EXCHANGE)

    def data(self) -> dict[str, Any]:
        """Return the fields of the fact itself, as JSON values, without those that the envelope carries."""
        return self.model_dump(mode="json", exclude={"event_id", "occurred_at"})

    def envelope(self, *, correlation_id: str | None, traceparent: str | None) -> dict[str, Any]:
        """Return the CloudEvents 1.0 envelope in structured JSON form, with our three extensions."""
        envelope: dict[str, Any] = {
            "specversion": SPEC_VERSION,
            "id": str(self.event_id),
            "source": self.source(),
            "type": self.TYPE,
            "subject": f"{self.AGGREGATE}/{self.aggregate_id}",
            "time": to_rfc3339(self.occurred_at),
            "datacontenttype": "application/json",
            "dataschema": f"urn:alta:{self.ROUTING_KEY}",
            "partitionkey": str(self.aggregate_id),
            "data": self.data(),
        }
        if correlation_id:
            envelope["correlationid"] = correlation_id
        if traceparent:
            envelope["traceparent"] = traceparent
        return envelope

    def to_bytes(self, *, correlation_id: str | None = None, traceparent: str | None = None) -> bytes:
        """Return the message body. Raises `InvalidError` when it is larger than 64 KiB."""
        return message_body(self.envelope(correlation_id=correlation_id, traceparent=traceparent))

    @classmethod
    def from_envelope(cls, envelope: dict[str, Any]) -> Self:
        """Return the event of an envelope. Raises `pydantic.ValidationError` when it does not fit the contract."""
        return cls.model_validate(
            {**(envelope.get("data") or {}), "event_id": envelope.get("id"), "occurred_at": envelope.get("time")}
        )


def source_of(exchange: str) -> str:
    """Return the CloudEvents `source` of what is published to this exchange."""
    return "/alta/" + exchange.removesuffix(".events")


def message_body(envelope: dict[str, Any]) -> bytes:
    """Return an envelope as it is sent. Raises `InvalidError` when it is larger than 64 KiB."""
    body = orjson.dumps(envelope)
    if len(body) > MAX_EVENT_BYTES:
        raise InvalidError(f"event {envelope['type']} has {len(body)} bytes, {MAX_EVENT_BYTES} are allowed")
    return body


def message_headers(envelope: dict[str, Any]) -> dict[str, str]:
    """Return the AMQP headers that mirror an envelope's attributes; `traceparent` keeps its own name (W3C).

    The CloudEvents AMQP binding is written for AMQP 1.0; over 0-9-1 the `cloudEvents:` prefix is what its readers know.
    """
    mirrored = ("specversion", "id", "source", "type", "subject", "time", "correlationid", "partitionkey")
    headers = {f"{MIRRORED}{name}": str(envelope[name]) for name in mirrored if name in envelope}
    if "traceparent" in envelope:
        headers["traceparent"] = envelope["traceparent"]
    return headers
