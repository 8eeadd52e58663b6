"""Events as AMQP 0-9-1 frames: Basic.Publish, content header, body; written by hand, since every event pays for it.

The frames are the same, byte for byte, as `pamqp` writes them.
"""

import struct
from dataclasses import dataclass
from struct import Struct

from alta_common.contracts.event import CONTENT_TYPE, MAX_EVENT_BYTES, MIRRORED, SPEC_VERSION, source_of
from alta_common.contracts.registry import EXCHANGES
from alta_common.messaging.topology import is_broadcast
from alta_common.outbox.headers import TIME, TRACEPARENT, headers_of
from alta_outbox_relay.amqp.errors import FaultyEventError
from alta_outbox_relay.event import PendingEvent

CHANNEL = 1
FRAME_OVERHEAD = 8

_LONGEST_SHORT = 255
_LONGEST_KEY = 128
_MOST_REMEMBERED = 1000
# RabbitMQ takes these for further routing keys, and closes the channel when they are text.
_ROUTING_HEADERS = frozenset({"CC", "BCC"})

_METHOD, _HEADER, _BODY, _END = 1, 2, 3, b"\xce"
_BASIC = 60
_PUBLISH = b"\x00\x3c\x00\x28\x00\x00"
_FRAME = Struct(">BHI")
_LONG = Struct(">I")
_TIMESTAMP = Struct(">Q")

# Flags of the properties, in the order in which their values follow.
_HAS_CONTENT_TYPE = 1 << 15
_HAS_HEADERS = 1 << 13
_HAS_DELIVERY_MODE = 1 << 12
_HAS_CORRELATION_ID = 1 << 10
_HAS_MESSAGE_ID = 1 << 7
_HAS_TIMESTAMP = 1 << 6
_HAS_TYPE = 1 << 5
_HAS_APP_ID = 1 << 3
_ALWAYS = _HAS_CONTENT_TYPE | _HAS_HEADERS | _HAS_DELIVERY_MODE | _HAS_MESSAGE_ID | _HAS_TIMESTAMP | _HAS_APP_ID

_CONTENT_TYPE = bytes((len(CONTENT_TYPE),)) + CONTENT_TYPE.encode()
# A content header up to the size of its table: frame, class, weight, body size, flags, content type.
_CONTENT = Struct(f">BHIHHQH{len(_CONTENT_TYPE)}sI")
_CONTENT_FIXED = _CONTENT.size - _FRAME.size + _TIMESTAMP.size
_PERSISTENT = "\x02"
_ID_LENGTH = "\x24"
_UUID_CHARACTERS = 36
_LENGTHS = [chr(length) for length in range(128)]


def _named(name: str) -> str:
    """Return what stands before a short value in a table: length, name, type, the first bytes of the value's length."""
    return f"{chr(len(name))}{name}S\0\0\0"


_CORRELATION_ID = _named(f"{MIRRORED}correlationid")
_ID = _named(f"{MIRRORED}id") + _ID_LENGTH
_PARTITION_KEY = _named(f"{MIRRORED}partitionkey") + _ID_LENGTH
_SOURCE = _named(f"{MIRRORED}source")
_SPEC_VERSION = _named(f"{MIRRORED}specversion") + _LENGTHS[len(SPEC_VERSION)] + SPEC_VERSION
_SUBJECT = _named(f"{MIRRORED}subject")
_TIME = _named(TIME)
_TYPE = _named(f"{MIRRORED}type")
_TRACEPARENT = _named(TRACEPARENT)


@dataclass(frozen=True, slots=True)
class _Route:
    """What all events of one kind have in common."""

    publish: bytes
    """The Basic.Publish frame."""
    tail: bytes
    """The last properties, and the end of the content header."""
    flags: int
    to_subject: str
    """Headers from the source to the aggregate's id in the subject; empty when they do not fit the short form."""
    kind: str
    """The header that names the type."""


class Encoder:
    """Turns events into frames that are no longer than `frame_max`."""

    def __init__(self, frame_max: int) -> None:
        self._most_payload = frame_max - FRAME_OVERHEAD
        self._routes: dict[tuple[str, str, str, str], _Route] = {}

    def encode(self, event: PendingEvent) -> bytes:
        """Return the frames of an event. Raises `FaultyEventError`."""
        route = self._routes.get(_kind_of(event)) or self._new_route(event)
        body = event.body
        size = len(body)
        if size > MAX_EVENT_BYTES:
            raise FaultyEventError(f"it has {size} bytes, {MAX_EVENT_BYTES} are allowed")
        try:
            table_size, variable = _variable(event, route)
            timestamp = _TIMESTAMP.pack(int(event.created_at.timestamp()))
        except (ValueError, TypeError, AttributeError, OverflowError, struct.error) as error:
            raise FaultyEventError(f"it cannot be written as AMQP: {error}") from error
        payload = _CONTENT_FIXED + len(variable) + len(route.tail) - 1
        if payload > self._most_payload:
            raise FaultyEventError(f"it cannot be written as AMQP: {payload} bytes of headers are too many")
        flags = route.flags | _HAS_CORRELATION_ID if event.correlation_id else route.flags
        content = _CONTENT.pack(_HEADER, CHANNEL, payload, _BASIC, 0, size, flags, _CONTENT_TYPE, table_size)
        if 0 < size <= self._most_payload:
            frame = _FRAME.pack(_BODY, CHANNEL, size)
            return b"".join((route.publish, content, variable, timestamp, route.tail, frame, body, _END))
        return b"".join((route.publish, content, variable, timestamp, route.tail, *self._pieces(body)))

    def _pieces(self, body: bytes) -> list[bytes]:
        parts: list[bytes] = []
        for start in range(0, len(body), self._most_payload):
            piece = body[start : start + self._most_payload]
            parts += (_FRAME.pack(_BODY, CHANNEL, len(piece)), piece, _END)
        return parts

    def _new_route(self, event: PendingEvent) -> _Route:
        if not event.exchange:
            raise FaultyEventError("the event itself is gone: outbox_event has no row of this id and day")
        # One unknown exchange among many publishes in flight would close the channel under all of them.
        if event.exchange not in EXCHANGES:
            raise FaultyEventError(f"exchange {event.exchange!r} is not one of ours")
        try:
            exchange, routing_key = _short("exchange", event.exchange), _short("routing key", event.routing_key)
            event_type = _short("type", event.event_type)
        except ValueError as error:
            raise FaultyEventError(f"it cannot be written as AMQP: {error}") from error
        mandatory = not is_broadcast(event.routing_key)
        method = b"".join((_PUBLISH, exchange, routing_key, b"\x01" if mandatory else b"\x00"))
        publish = _FRAME.pack(_METHOD, CHANNEL, len(method)) + method + _END
        flags = _ALWAYS
        tail = _short("app id", event.exchange.removesuffix(".events")) + _END
        if event.event_type:
            flags |= _HAS_TYPE
            tail = event_type + tail
        if len(self._routes) >= _MOST_REMEMBERED:
            self._routes.clear()
        route = self._routes[_kind_of(event)] = _Route(publish, tail, flags, *_constant_headers(event))
        return route


def _kind_of(event: PendingEvent) -> tuple[str, str, str, str]:
    return event.exchange, event.routing_key, event.event_type, event.aggregate_type


def _constant_headers(event: PendingEvent) -> tuple[str, str]:
    """Return `to_subject` and `kind` of a route."""
    source, subject, kind = source_of(event.exchange), f"{event.aggregate_type}/", event.event_type
    subject_length = len(subject) + _UUID_CHARACTERS
    if max(len(source), subject_length, len(kind)) >= len(_LENGTHS) or not f"{subject}{kind}".isascii():
        return "", ""
    start = f"{_SOURCE}{_LENGTHS[len(source)]}{source}{_SPEC_VERSION}{_SUBJECT}{_LENGTHS[subject_length]}{subject}"
    return start, f"{_TYPE}{_LENGTHS[len(kind)]}{kind}"


def _variable(event: PendingEvent, route: _Route) -> tuple[int, bytes]:
    """Return the size of the table of headers; and that table, delivery mode, correlation id and message id."""
    headers, correlation = event.headers, event.correlation_id
    trace = headers.get(TRACEPARENT)
    if route.to_subject and TIME in headers and len(headers) == (1 if trace is None else 2):
        event_id, aggregate_id, time = str(event.event_id), str(event.aggregate_id), headers[TIME]
        try:
            # Text that is encoded all at once takes a third of the time. Lengths are characters of it, which is right
            # as long as all of it is ASCII, those lengths included.
            written = f"{_LENGTHS[len(correlation)]}{correlation}" if correlation else ""
            table = (
                f"{_CORRELATION_ID + written if written else written}{_ID}{event_id}{_PARTITION_KEY}{aggregate_id}"
                f"{route.to_subject}{aggregate_id}{_TIME}{_LENGTHS[len(time)]}{time}{route.kind}"
                f"{'' if trace is None else _TRACEPARENT + _LENGTHS[len(trace)] + trace}"
            )
            return len(table), f"{table}{_PERSISTENT}{written}{_ID_LENGTH}{event_id}".encode("ascii")
        except (IndexError, UnicodeEncodeError):
            pass
    return _variable_of_any(event)


def _variable_of_any(event: PendingEvent) -> tuple[int, bytes]:
    parts: list[bytes] = []
    for name, value in sorted(headers_of(event, event.headers).items()):
        key, text = name.encode(), value.encode()
        if len(key) > _LONGEST_KEY:
            raise ValueError(f"the name of header {name[:20]}… has more than {_LONGEST_KEY} bytes")
        if name in _ROUTING_HEADERS:
            raise ValueError(f"a header {name} would send it elsewhere")
        parts += (bytes((len(key),)), key, b"S", _LONG.pack(len(text)), text)
    table = b"".join(parts)
    correlation = _short("correlation id", event.correlation_id) if event.correlation_id else b""
    return len(table), table + _PERSISTENT.encode() + correlation + f"{_ID_LENGTH}{event.event_id}".encode()


def _short(what: str, value: str) -> bytes:
    raw = value.encode()
    if len(raw) > _LONGEST_SHORT:
        raise ValueError(f"its {what} has more than {_LONGEST_SHORT} bytes")
    return bytes((len(raw),)) + raw
