"""The AMQP headers of an event in the outbox: what its columns say, and what is stored beside them.

Most of what a message mirrors of its envelope (`alta_common.contracts.event.message_headers`) stands in the row's
columns already. Stored again it would be a third of the row, and the dearest part to write, to read and to decode.
"""

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from alta_common.contracts.event import MIRRORED, SPEC_VERSION, message_headers, source_of

TIME = f"{MIRRORED}time"
TRACEPARENT = "traceparent"
_STORED = (TIME, TRACEPARENT)


class EventColumns(Protocol):
    """What a row of `outbox_event` says of its event, as far as it is mirrored in headers."""

    @property
    def event_id(self) -> UUID:
        """Its id."""

    @property
    def event_type(self) -> str:
        """What happened."""

    @property
    def exchange(self) -> str:
        """Where it is published."""

    @property
    def aggregate_type(self) -> str:
        """What kind of thing it is about."""

    @property
    def aggregate_id(self) -> UUID:
        """Which one."""

    @property
    def correlation_id(self) -> str | None:
        """The request that it came from."""


def stored_headers(envelope: dict[str, Any]) -> dict[str, str]:
    """Return the headers of an event that its columns do not say: when it happened, and the trace it belongs to."""
    headers = message_headers(envelope)
    return {name: headers[name] for name in _STORED if name in headers}


def headers_of(event: EventColumns, stored: Mapping[str, str]) -> dict[str, str]:
    """Return all headers of an event's message. What is stored is told as it is: older rows have all of them stored."""
    mirrored = {
        "specversion": SPEC_VERSION,
        "id": str(event.event_id),
        "source": source_of(event.exchange),
        "type": event.event_type,
        "subject": f"{event.aggregate_type}/{event.aggregate_id}",
        "partitionkey": str(event.aggregate_id),
    }
    if event.correlation_id:
        mirrored["correlationid"] = event.correlation_id
    return {f"{MIRRORED}{name}": value for name, value in mirrored.items()} | dict(stored)
