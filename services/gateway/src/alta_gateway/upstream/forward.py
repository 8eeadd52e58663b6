"""Passing a request on to its service and the answer back, both as streams."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import structlog
from opentelemetry.trace import Span, SpanKind

from alta_common.errors import UnavailableError
from alta_common.telemetry.context import span, traceparent_of
from alta_gateway.answers import Refusal
from alta_gateway.exchange import Exchange
from alta_gateway.forwarding import request_headers
from alta_gateway.metrics import retries, upstream_failures
from alta_gateway.routing import Route, Timeouts
from alta_gateway.settings import UpstreamSettings
from alta_gateway.upstream.admission import RetryBudget, Trip
from alta_gateway.upstream.body import RequestBody
from alta_gateway.upstream.client import Upstream
from alta_gateway.upstream.relay import relay

log = structlog.get_logger()

_SERVER_ERRORS = 500
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
# What a service says on purpose when it is busy, or cannot do at all, is no sign of illness.
_DELIBERATE = frozenset({501, 503, 505, 507})


class UpstreamUnavailableError(UnavailableError):
    """A service cannot be reached."""

    code = "upstream_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One request on its way to a service."""

    exchange: Exchange
    route: Route
    timeouts: Timeouts
    upstream: Upstream
    body: RequestBody
    # The whole body, where it is small enough to have come at once.
    content: bytes | None
    span: Span

    @property
    def data(self) -> bytes | AsyncIterator[bytes] | None:
        is_whole = self.content is not None or not self.exchange.has_body
        return self.content if is_whole else self.body.rest()

    @property
    def may_retry(self) -> bool:
        is_whole = self.content is not None or not self.exchange.has_body
        return is_whole and self.route.method in _IDEMPOTENT


class Forwarder:
    """Passes requests on. What a service fails to do becomes 502, 503 or 504."""

    def __init__(
        self, session: aiohttp.ClientSession, upstreams: dict[str, Upstream], settings: UpstreamSettings
    ) -> None:
        self._session = session
        self._upstreams = upstreams
        self._settings = settings
        self._budget = RetryBudget(settings.retry_share)
        self._stopping = asyncio.Event()

    def release(self) -> None:
        """End the streams that have no end of their own: the process is about to stop, and clients come back."""
        self._stopping.set()

    async def forward(self, exchange: Exchange, route: Route, content: bytes | None) -> None:
        """Stream a request to its service and the answer back. `content` is the body where it has been read.

        Raises `UnavailableError` kinds and `Refusal` as long as no answer has begun; after that it breaks it off.
        """
        upstream = self._upstreams[route.upstream]
        is_poll = route.method == "GET" and b"wait=" in exchange.query
        body = RequestBody(exchange, route.body_limit)
        if content is None:
            content = await body.first()
        with (
            upstream.admission.trip(route.kind, is_waiting=is_poll or route.is_stream) as trip,
            span(f"{route.method} {upstream.name}", kind=SpanKind.CLIENT) as client_span,
        ):
            call = _Call(
                exchange=exchange,
                route=route,
                timeouts=self._poll_timeouts(route) if is_poll else route.timeouts,
                upstream=upstream,
                body=body,
                content=content,
                span=client_span,
            )
            try:
                await self._exchange(call, trip)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if body.failure is not None:
                    raise body.failure from None
                trip.is_good = False
                self._fail(call, error)

    async def _exchange(self, call: _Call, trip: Trip) -> None:
        started = asyncio.get_running_loop().time()
        async with asyncio.timeout(None) as deadline:
            call.body.watch(deadline, call.timeouts.idle, call.timeouts.first_byte)
            response = await self._open(call)
            call.body.unwatch()
            trip.is_good = response.status < _SERVER_ERRORS or response.status in _DELIBERATE
            call.span.set_attribute("http.response.status_code", response.status)
            deadline.reschedule(None if call.timeouts.total is None else started + call.timeouts.total)
            await relay(call.exchange, call.route, response, self._stopping)

    async def _open(self, call: _Call) -> aiohttp.ClientResponse:
        """Send the request; once more if it did not arrive and may be repeated."""
        exchange = call.exchange
        headers = request_headers(exchange.headers, exchange.origin, exchange.request_id) + _trace_headers(call.span)
        timeout = aiohttp.ClientTimeout(
            sock_connect=self._settings.upstream_connect_seconds,
            # It runs from the end of the request to the first byte as well.
            sock_read=max(call.timeouts.idle, call.timeouts.first_byte),
        )
        url = call.upstream.url(exchange.raw_path, exchange.query)
        self._budget.earn()
        may_retry = call.may_retry
        while True:
            try:
                return await self._session.request(
                    call.route.method, url, headers=headers, data=call.data, timeout=timeout, allow_redirects=False
                )
            except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError) as error:
                if not may_retry or not self._budget.spend():
                    raise
                may_retry = False
                retries.labels(call.upstream.name).inc()
                log.info("upstream.retried", upstream=call.upstream.name, error=repr(error))
                await asyncio.sleep(random.uniform(0.01, 0.05))  # noqa: S311 - jitter is no secret

    def _poll_timeouts(self, route: Route) -> Timeouts:
        longer = self._settings.upstream_long_first_byte_seconds
        return Timeouts(longer, route.timeouts.idle, longer + route.timeouts.idle)

    @staticmethod
    def _fail(call: _Call, error: Exception) -> None:
        name, reason = call.upstream.name, _reason_of(error)
        upstream_failures.labels(name, reason).inc()
        log.warning("upstream.failed", upstream=name, reason=reason, error=repr(error))
        if call.exchange.status is not None:
            call.exchange.abort()
        elif reason == "unreachable":
            raise UpstreamUnavailableError(f"{name} cannot be reached now.", 2) from error
        elif reason == "timeout":
            raise Refusal(504, "upstream_timeout", f"{name} did not answer in time.") from error
        else:
            raise Refusal(502, "bad_gateway", f"{name} did not answer properly.") from error


def _reason_of(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return "unreachable"
    return "timeout" if isinstance(error, TimeoutError) else "broken"


def _trace_headers(client_span: Span) -> list[tuple[str, str]]:
    context = client_span.get_span_context()
    headers = [("traceparent", traceparent_of(context))]
    if context.trace_state:
        headers.append(("tracestate", context.trace_state.to_header()))
    return headers
