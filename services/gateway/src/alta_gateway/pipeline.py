"""The gateway as one plain ASGI application: what happens to every request, in this order."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from opentelemetry.trace import SpanKind, Status, StatusCode

from alta_common.errors import AltaError, NotFoundError, TooLargeError
from alta_common.telemetry.context import bind_request, span, traceparent_of
from alta_common.telemetry.metrics import exemplar, http_server_active, http_server_duration
from alta_gateway.answers import Answer, Refusal, answer_of, crashed
from alta_gateway.authentication import TokenRevokedError, Verifier, authenticate
from alta_gateway.cors import Cors
from alta_gateway.exchange import ClientGoneError, Exchange
from alta_gateway.limits.accounts import account_of, read_body
from alta_gateway.limits.limiter import Limiter
from alta_gateway.limits.policies import Policies
from alta_gateway.metrics import limited
from alta_gateway.routes import GATEWAY
from alta_gateway.routing import Kind, Route, RouteTable
from alta_gateway.settings import GatewaySettings
from alta_gateway.upstream.forward import Forwarder

log = structlog.get_logger()

_CLIENT_CLOSED_REQUEST = 499
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

OwnEndpoint = Callable[[Exchange], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the pipeline is made of."""

    settings: GatewaySettings
    routes: RouteTable
    own: Mapping[str, OwnEndpoint]
    cors: Cors
    verifier: Verifier
    policies: Policies
    limiter: Limiter
    forwarder: Forwarder


class Gateway:
    """The ASGI application."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def release(self) -> None:
        """Let go of those who would stay for ever; called when the process is about to stop."""
        self._parts.forwarder.release()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one request."""
        exchange = Exchange(scope, receive, send, self._parts.settings.trusted_networks)
        with (
            bind_request(exchange.request_id, exchange.origin.address),
            span(
                exchange.method,
                traceparent=exchange.header(b"traceparent") or "",
                tracestate=exchange.header(b"tracestate"),
                kind=SpanKind.SERVER,
                attributes=_attributes(exchange),
            ) as server_span,
        ):
            exchange.span = server_span
            exchange.traceparent = traceparent_of(server_span.get_span_context())
            method = exchange.method if exchange.method in _METHODS else "_OTHER"
            active = http_server_active.labels(method)
            active.inc()
            try:
                await self._answer(exchange)
            finally:
                active.dec()
                _account(exchange, method)

    async def _answer(self, exchange: Exchange) -> None:
        """Handle a request, whatever happens: the client gets an answer, or a connection that is visibly broken."""
        try:
            await self._handle(exchange)
        except Refusal as refusal:
            await _end(exchange, refusal.answer(exchange.path))
        except AltaError as error:
            await _end(exchange, answer_of(error, exchange.path))
        except ClientGoneError:
            log.debug("request.abandoned")
        except asyncio.CancelledError:
            # Either the client has gone, and what was done for it with it; or the process must end now.
            stopping = Refusal(
                503, "shutting_down", "The server is stopping; please try again.", [(b"retry-after", b"1")]
            )
            await _end(exchange, stopping.answer(exchange.path))
        except Exception:
            # The last resort: the client must get an answer.
            log.exception("request.crashed", method=exchange.method, path=exchange.path)
            await _end(exchange, crashed(exchange.path))

    async def _handle(self, exchange: Exchange) -> None:
        parts = self._parts
        found = parts.routes.find(exchange.method, exchange.path)
        if found is None:
            raise NotFoundError(f"There is nothing at {exchange.path}.")
        parts.cors.mark(exchange)
        if exchange.method == "OPTIONS":
            await exchange.answer(parts.cors.options(exchange, found))
            return
        route = found.route
        if route is None:
            allow = [(b"allow", ", ".join(found.methods).encode())]
            detail = f"{exchange.method} is not possible at {exchange.path}."
            raise Refusal(405, "method_not_allowed", detail, allow)
        exchange.route = route
        if route.upstream == GATEWAY:
            await exchange.answer(await parts.own[route.template](exchange))
            return
        if not route.is_public:
            exchange.principal = await authenticate(exchange, parts.verifier)
        self._check_size(exchange, route)
        content = await read_body(exchange, route.body_limit) if route.account_field else None
        await self._limit(exchange, route, content)
        if route.kind is Kind.UPLOAD and exchange.connection is not None:
            exchange.connection.allow_slow_body(parts.settings.upload_body_idle_seconds)
        await parts.forwarder.forward(exchange, route, content)

    @staticmethod
    def _check_size(exchange: Exchange, route: Route) -> None:
        if exchange.content_length is not None and exchange.content_length > route.body_limit:
            raise TooLargeError(f"The body is over {route.body_limit} bytes.")

    async def _limit(self, exchange: Exchange, route: Route, content: bytes | None) -> None:
        """Count the request, and see in the same trip whether its session still lives."""
        parts, principal = self._parts, exchange.principal
        account = None
        if content is not None and route.account_field is not None:
            account = account_of(content, exchange.header(b"content-type") or "", route.account_field)
        charges = parts.policies.charges(route, exchange.origin.address, principal, account)
        session_id = principal.session_id if principal else None
        verdict = await parts.limiter.take(charges, session_id, fails_closed=route.fails_closed)
        if verdict.is_revoked:
            raise TokenRevokedError("The session of this access token has been ended.")
        exchange.extra += verdict.headers()
        refused_by = verdict.refused_by
        if refused_by is not None:
            limited.labels(refused_by.policy.name).inc()
            raise verdict.error(refused_by)


async def _end(exchange: Exchange, answer: Answer) -> None:
    if exchange.status is None:
        await exchange.answer(answer)
    else:
        exchange.abort()


def _attributes(exchange: Exchange) -> dict[str, str | int | float | bool]:
    return {
        "http.request.method": exchange.method,
        "url.path": exchange.path,
        "url.scheme": exchange.origin.scheme,
        "client.address": exchange.origin.address,
        "user_agent.original": (exchange.header(b"user-agent") or "")[:200],
    }


def _account(exchange: Exchange, method: str) -> None:
    """Write the request down: span, metrics, one line of log."""
    seconds = time.perf_counter() - exchange.started_at
    gone = exchange.connection is not None and exchange.connection.is_gone and not exchange.is_aborted
    status = _CLIENT_CLOSED_REQUEST if gone or exchange.status is None else exchange.status
    route = exchange.route.template if exchange.route else None
    server_span = exchange.span
    if server_span is not None:
        server_span.update_name(f"{method} {route}" if route else method)
        server_span.set_attribute("http.response.status_code", status)
        if route:
            server_span.set_attribute("http.route", route)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            server_span.set_status(Status(StatusCode.ERROR))
    http_server_duration.labels(method, route or "unmatched", str(status)).observe(seconds, exemplar())
    # Probes ask every few seconds; what they are told is worth a line only when it is bad.
    is_probe = route is not None and route.startswith("/health") and status < HTTPStatus.BAD_REQUEST
    write = log.debug if is_probe else log.info
    write(
        "http.request",
        method=exchange.method,
        path=exchange.path,
        route=route,
        status=status,
        aborted=exchange.is_aborted,
        bytes=exchange.bytes_sent,
        bytes_received=exchange.body_bytes,
        duration_ms=round(seconds * 1000, 2),
        client=exchange.origin.address,
        user_id=str(exchange.principal.user_id) if exchange.principal else None,
    )
