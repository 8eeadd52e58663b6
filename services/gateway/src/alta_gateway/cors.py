"""Which other origins a browser may call from (the Fetch standard's CORS protocol). Credentials are never allowed."""

from collections.abc import Sequence

from alta_gateway.answers import Answer, Refusal
from alta_gateway.exchange import Exchange
from alta_gateway.routing import Found

_ALLOWED_HEADERS = (
    b"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Range, Traceparent, "
    b"Tracestate, Tus-Resumable, Upload-Checksum, Upload-Length, Upload-Metadata, Upload-Offset, X-Request-ID"
)
_EXPOSED_HEADERS = (
    b"Content-Disposition, Content-Location, ETag, Idempotency-Replayed, Location, RateLimit, RateLimit-Policy, "
    b"Retry-After, Traceparent, Tus-Resumable, Upload-Expires, Upload-Length, Upload-Offset, WWW-Authenticate, "
    b"X-Request-ID"
)
_VARY = (b"vary", b"Origin")


class Cors:
    """Answers preflights, and marks answers for the origins that the settings name exactly."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origin.rstrip("/").encode() for origin in origins)

    def mark(self, exchange: Exchange) -> None:
        """Let the calling page read the answer, if it may."""
        origin = exchange.found.get(b"origin")
        if not self._origins:
            return
        exchange.extra.append(_VARY)
        if origin in self._origins and origin is not None:
            exchange.extra.append((b"access-control-allow-origin", origin))
            exchange.extra.append((b"access-control-expose-headers", _EXPOSED_HEADERS))

    def options(self, exchange: Exchange, found: Found) -> Answer:
        """Answer OPTIONS: a preflight, or the plain question what is possible."""
        origin = exchange.found.get(b"origin")
        if origin is None or b"access-control-request-method" not in exchange.found:
            return Answer(204, [(b"allow", ", ".join(found.methods).encode())])
        if origin not in self._origins:
            raise Refusal(403, "origin_not_allowed", "Pages of this origin may not call the API.")
        return Answer(
            204,
            [
                (b"access-control-allow-methods", ", ".join(found.methods).encode()),
                (b"access-control-allow-headers", _ALLOWED_HEADERS),
                (b"access-control-max-age", b"600"),
            ],
        )
