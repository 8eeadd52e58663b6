"""Events as AMQP 0-9-1 frames: Basic.Publish, content header, body; written by hand, since every event pays for it.

The frames are the same, byte for byte, as `pamqp` writes them (but for the order of headers, which stays as given).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct

from alta_common.contracts.event import CONTENT_TYPE, MAX_EVENT_BYTES
from alta_common.contracts.registry import EXCHANGES
from alta_common.messaging.topology import is_broadcast
from alta_outbox_relay.amqp.errors import FaultyEventError
from alta_outbox_relay.event import PendingEvent

CHANNEL = 1
FRAME_OVERHEAD = 8

_LONGEST_SHORT = 255
_LONGEST_KEY = 128
_PERSISTENT = 2
_MOST_ROUTES = 1000

_METHOD, _HEADER, _BODY, _END = 1, 2, 3, b"\xce"
_BASIC, _PUBLISH = 60, 40
_FRAME = Struct(">BHI")
_LONG = Struct(">I")
_TIMESTAMP = Struct(">Q")
_CONTENT = Struct(">BHIHHQH")
_CONTENT_FIXED = _CONTENT.size - _FRAME.size

# Flags of the properties, in the order in which their values follow.
_HAS_CONTENT_TYPE = 1 << 15
_HAS_HEADERS = 1 << 13
_HAS_DELIVERY_MODE = 1 << 12
_HAS_CORRELATION_ID = 1 << 10
_HAS_MESSAGE_ID = 1 << 7
_HAS_TIMESTAMP = 1 << 6
_HAS_TYPE = 1 << 5
_HAS_APP_ID = 1 << 3
_ALWAYS = _HAS_CONTENT_TYPE | _HAS_HEADERS | _HAS_DELIVERY_MODE | _HAS_MESSAGE_ID | _HAS_TIMESTAMP


@dataclass(frozen=True, slots=True)
class _Route:
    """What all events of one type and routing key have in common."""

    publish: bytes
    """The Basic.Publish frame."""
    tail: bytes
    """The last properties, and the end of the content header."""
    flags: int


class Encoder:
    """Turns events into frames that are no longer than `frame_max` (0: as long as they like)."""

    def __init__(self, frame_max: int) -> None:
        self._frame_max = frame_max
        self._most_payload = frame_max - FRAME_OVERHEAD if frame_max else MAX_EVENT_BYTES + FRAME_OVERHEAD
        self._routes: dict[tuple[str, str, str], _Route] = {}
        self._content_type = _short("content type", CONTENT_TYPE)

    def encode(self, event: PendingEvent) -> bytes:
        """Return the frames of an event. Raises `FaultyEventError`."""
        route = self._routes.get((event.exchange, event.routing_key, event.event_type)) or self._new_route(event)
        body = event.body
        size = len(body)
        if size > MAX_EVENT_BYTES:
            raise FaultyEventError(f"it has {size} bytes, {MAX_EVENT_BYTES} are allowed")
        flags = route.flags
        try:
            table = _table(event.headers)
            correlation = b""
            if event.correlation_id:
                flags |= _HAS_CORRELATION_ID
                correlation = _short("correlation id", event.correlation_id)
            timestamp = _TIMESTAMP.pack(int(event.created_at.timestamp()))
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise FaultyEventError(f"it cannot be written as AMQP: {error}") from error
        properties = b"".join(
            (
                self._content_type,
                table,
                b"\x02",
                correlation,
                _short("message id", str(event.event_id)),
                timestamp,
                route.tail,
            )
        )
        payload = _CONTENT_FIXED + len(properties) - 1
        if payload > self._most_payload:
            raise FaultyEventError(f"it cannot be written as AMQP: {payload} bytes of headers are too many")
        content = _CONTENT.pack(_HEADER, CHANNEL, payload, _BASIC, 0, size, flags)
        return b"".join((route.publish, content, properties, *self._body(body)))

    def _body(self, body: bytes) -> list[bytes]:
        parts: list[bytes] = []
        for start in range(0, len(body), self._most_payload):
            piece = body[start : start + self._most_payload]
            parts += (_FRAME.pack(_BODY, CHANNEL, len(piece)), piece, _END)
        return parts

    def _new_route(self, event: PendingEvent) -> _Route:
        # One unknown exchange among many publishes in flight would close the channel under all of them.
        if event.exchange not in EXCHANGES:
            raise FaultyEventError(f"exchange {event.exchange!r} is not one of ours")
        try:
            exchange, routing_key = _short("exchange", event.exchange), _short("routing key", event.routing_key)
            event_type = _short("type", event.event_type)
        except ValueError as error:
            raise FaultyEventError(f"it cannot be written as AMQP: {error}") from error
        mandatory = not is_broadcast(event.routing_key)
        method = b"".join((b"\x00\x3c\x00\x28\x00\x00", exchange, routing_key, b"\x01" if mandatory else b"\x00"))
        publish = _FRAME.pack(_METHOD, CHANNEL, len(method)) + method + _END
        flags = _ALWAYS | _HAS_APP_ID
        tail = _short("app id", event.exchange.removesuffix(".events")) + _END
        if event.event_type:
            flags |= _HAS_TYPE
            tail = event_type + tail
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        route = self._routes[event.exchange, event.routing_key, event.event_type] = _Route(publish, tail, flags)
        return route


def _table(headers: Mapping[str, str]) -> bytes:
    parts: list[bytes] = []
    for key, value in headers.items():
        name = key.encode()
        if len(name) > _LONGEST_KEY:
            raise ValueError(f"the name of header {key[:20]}… has more than {_LONGEST_KEY} bytes")
        text = value.encode()
        parts += (bytes((len(name),)), name, b"S", _LONG.pack(len(text)), text)
    table = b"".join(parts)
    return _LONG.pack(len(table)) + table


def _short(what: str, value: str) -> bytes:
    raw = value.encode()
    if len(raw) > _LONGEST_SHORT:
        raise ValueError(f"its {what} has more than {_LONGEST_SHORT} bytes")
    return bytes((len(raw),)) + raw
