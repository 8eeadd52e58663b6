"""One request and its answer, on their way through the pipeline."""

import time
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from opentelemetry.trace import Span

from alta_common.contracts.principal import Principal
from alta_common.http.request_id import request_id_of
from alta_gateway.answers import Answer, RawHeaders, complete
from alta_gateway.forwarding import Origin, origin_of
from alta_gateway.routing import Route

# A body up to this size is read to its end after an early answer, so that the connection can be used again.
_WORTH_READING_BYTES = 64 * 1024
_LOOKED_AT = frozenset(
    {
        b"authorization",
        b"access-control-request-headers",
        b"access-control-request-method",
        b"content-length",
        b"content-type",
        b"forwarded",
        b"host",
        b"if-none-match",
        b"origin",
        b"traceparent",
        b"tracestate",
        b"transfer-encoding",
        b"user-agent",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-request-id",
    }
)


class ClientGoneError(Exception):
    """The client went away while it was being listened to."""


class Exchange:
    """A request as the pipeline sees it, and the one way to answer it."""

    __slots__ = (
        "_send",
        "body_bytes",
        "body_is_read",
        "bytes_sent",
        "connection",
        "content_length",
        "extra",
        "found",
        "has_body",
        "headers",
        "is_aborted",
        "method",
        "origin",
        "path",
        "principal",
        "query",
        "raw_path",
        "receive",
        "request_id",
        "route",
        "span",
        "started_at",
        "status",
        "traceparent",
    )

    def __init__(self, scope: Any, receive: Any, send: Any, trusted: list[IPv4Network | IPv6Network]) -> None:
        self.receive = receive
        self._send = send
        self.started_at = time.perf_counter()
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        self.headers: RawHeaders = scope["headers"]
        # The hardened protocol of this connection; None under another server (never in production).
        self.connection: Any = scope.get("alta.connection")
        self.found: dict[bytes, bytes] = {}
        for name, value in self.headers:
            if name in _LOOKED_AT:
                # Several fields of one name are one list (RFC 9110 section 5.3).
                self.found[name] = self.found[name] + b", " + value if name in self.found else value
        self.request_id = request_id_of(self.header(b"x-request-id"))
        self.origin: Origin = origin_of(scope, self.found, trusted)
        length = self.found.get(b"content-length")
        self.content_length = int(length) if length is not None else None
        self.has_body = bool(self.content_length) or b"transfer-encoding" in self.found
        self.body_is_read = not self.has_body
        self.body_bytes = 0
        self.route: Route | None = None
        self.principal: Principal | None = None
        self.span: Span | None = None
        self.traceparent: str | None = None
        # Headers that whatever answer there will be carries: rate limits, CORS.
        self.extra: RawHeaders = []
        self.status: int | None = None
        self.bytes_sent = 0
        self.is_aborted = False

    def header(self, name: bytes) -> str | None:
        """Return a header's value; only those that the gateway looks at are known."""
        value = self.found.get(name)
        return value.decode("latin-1") if value is not None else None

    async def start(self, status: int, headers: RawHeaders) -> None:
        """Send the head of the answer, completed with what every answer carries."""
        self.status = status
        full = complete(headers, self.request_id, self.traceparent, self.extra)
        if not self.body_is_read and self._is_large():
            full.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": status, "headers": full})

    async def send_body(self, chunk: bytes, *, more: bool) -> None:
        """Send a piece of the answer's body; waits while the client takes nothing."""
        self.bytes_sent += len(chunk)
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})

    async def answer(self, answer: Answer) -> None:
        """Send a whole answer."""
        headers = list(answer.headers)
        if answer.status not in (204, 304):
            headers.append((b"content-length", b"%d" % len(answer.body)))
        await self.start(answer.status, headers)
        await self.send_body(answer.body, more=False)

    def abort(self) -> None:
        """Break the answer off: the client must see that it is not whole."""
        self.is_aborted = True
        if self.connection is not None:
            self.connection.abort()

    def _is_large(self) -> bool:
        return self.content_length is None or self.content_length - self.body_bytes > _WORTH_READING_BYTES
