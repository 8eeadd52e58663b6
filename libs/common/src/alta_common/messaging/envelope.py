"""Reading an event out of a message, and writing one into it."""

import reprlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aio_pika
import orjson
from aio_pika.abc import AbstractIncomingMessage, DeliveryMode
from pamqp import encode

from alta_common.contracts.event import CONTENT_TYPE, Event, message_headers
from alta_common.contracts.registry import BY_ROUTING_KEY
from alta_common.messaging.failures import UnknownEventError, UnreadableMessageError
from alta_common.messaging.undecodable import UNDECODABLE

_SCHEMA = "urn:alta:"
_EPOCH = datetime.fromtimestamp(0, UTC)

ATTEMPT = "x-alta-attempt"
SLICE = "x-alta-slice"
EXCHANGE = "x-alta-exchange"
ROUTING_KEY = "x-alta-routing-key"
QUEUE = "x-alta-queue"
REASON = "x-alta-reason"
ERROR = "x-alta-error"
FAILED_AT = "x-alta-failed-at"
QUEUED_AT = "x-alta-queued-at"
"""When a copy came, or is to come, into its queue: milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a message says about itself, before anybody believes it."""

    attributes: dict[str, Any]
    headers: Mapping[str, Any]

    @classmethod
    def read(cls, body: bytes, headers: Mapping[str, Any]) -> "Envelope":
        """Return a message's envelope. Raises `UnreadableMessageError`."""
        if UNDECODABLE in headers:
            raise UnreadableMessageError(f"its properties cannot be decoded: {headers[UNDECODABLE]}")
        try:
            attributes = orjson.loads(body)
        except ValueError as error:
            raise UnreadableMessageError("the body is not JSON") from error
        if not isinstance(attributes, dict) or not isinstance(attributes.get("id"), str):
            raise UnreadableMessageError("the body is not a CloudEvents envelope")
        if not isinstance(attributes.get("data", {}), dict):
            raise UnreadableMessageError("the data of the envelope is not a JSON object")
        return cls(attributes, headers)

    @property
    def event_id(self) -> str:
        """Return the event's id."""
        return str(self.attributes["id"])

    @property
    def correlation_id(self) -> str:
        """Return the id of the request that caused the event; the event's own where it has none."""
        return str(self.attributes.get("correlationid") or self.event_id)

    @property
    def traceparent(self) -> str:
        """Return the place in the trace where the event was made; empty where it has none."""
        return str(self.headers.get("traceparent") or self.attributes.get("traceparent") or "")

    def event(self, routing_key: str) -> Event:
        """Return the event itself.

        Its contract is the one that `dataschema` names, else that of the routing key. Raises `UnknownEventError` and
        `pydantic.ValidationError`.
        """
        schema = self.attributes.get("dataschema")
        name = schema.removeprefix(_SCHEMA) if isinstance(schema, str) else routing_key
        contract = BY_ROUTING_KEY.get(name) or BY_ROUTING_KEY.get(routing_key)
        if contract is None:
            raise UnknownEventError(f"there is no contract {name}")
        return contract.from_envelope(self.attributes)


def attempt_of(headers: Mapping[str, Any]) -> int:
    """Return which attempt at a message this is, from 1."""
    return _counted(headers, ATTEMPT)


def slice_of(headers: Mapping[str, Any]) -> int:
    """Return which slice of a message's work this is, from 1. A slice that goes on from another is no new attempt."""
    return _counted(headers, SLICE)


def queued_at(headers: Mapping[str, Any]) -> datetime | None:
    """Return when a copy came into its queue; None for a message that is no copy."""
    milliseconds = headers.get(QUEUED_AT)
    return _EPOCH + timedelta(milliseconds=milliseconds) if isinstance(milliseconds, int) else None


def _counted(headers: Mapping[str, Any], name: str) -> int:
    number = headers.get(name, 1)
    return number if isinstance(number, int) and number > 0 else 1


def origin_of(message: AbstractIncomingMessage) -> tuple[str, str]:
    """Return exchange and routing key that a message was first published with: a retried copy has lost its own."""
    exchange = message.headers.get(EXCHANGE) or message.exchange or ""
    routing_key = message.headers.get(ROUTING_KEY) or message.routing_key or ""
    return str(exchange), str(routing_key)


def message_of(event: Event, *, app_id: str, correlation_id: str | None, traceparent: str | None) -> aio_pika.Message:
    """Return an event as a persistent message. Raises `InvalidError` when it is larger than 64 KiB."""
    envelope = event.envelope(correlation_id=correlation_id, traceparent=traceparent)
    message = aio_pika.Message(
        event.to_bytes(correlation_id=correlation_id, traceparent=traceparent),
        content_type=CONTENT_TYPE,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=str(event.event_id),
        type=event.TYPE,
        timestamp=event.occurred_at,
        app_id=app_id,
        correlation_id=correlation_id,
        headers=dict(message_headers(envelope)),
    )
    return _without_priority(message)


def copy_of(message: AbstractIncomingMessage, headers: dict[str, Any]) -> aio_pika.Message:
    """Return a copy to publish again, with `headers` added.

    What RabbitMQ noted about the old one (`x-death` and its like) stays behind: with it the broker could take a
    message on its way round for one that goes in circles, and drop it.
    """
    kept = {
        name: _writable(value)
        for name, value in message.headers.items()
        if name.startswith(("cloudEvents:", "x-alta-")) or name == "traceparent"
    }
    kept.pop(QUEUED_AT, None)
    exchange, routing_key = origin_of(message)
    copy = aio_pika.Message(
        message.body,
        content_type=message.content_type,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=message.message_id,
        type=message.type,
        timestamp=message.timestamp,
        app_id=message.app_id,
        correlation_id=message.correlation_id,
        headers={**kept, EXCHANGE: exchange, ROUTING_KEY: routing_key, **headers},
    )
    return _without_priority(copy)


def _writable(value: Any) -> Any:
    """Return a header's value, as text where the client library does not write what it reads: Latin-1, a long float."""
    try:
        encode.encode_table_value(value)
    except (TypeError, ValueError, OverflowError, RecursionError, struct.error):
        return value.decode("latin-1") if isinstance(value, bytes) else reprlib.repr(value)
    return value


def _without_priority(message: aio_pika.Message) -> aio_pika.Message:
    # The client library says 0 where nothing is said. From RabbitMQ 4.3 on that is less than nothing: what the relay
    # publishes, without a priority, would be given out first, and a copy wait for as long as something new comes.
    message.priority = None
    return message
