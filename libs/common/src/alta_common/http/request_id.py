"""The outermost layer of every HTTP service: request id, trace, metrics, access log, the last resort for errors."""

import ipaddress
import re
import time
from contextlib import suppress
from typing import Any

import structlog
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alta_common.http.problems import internal_error
from alta_common.ids import new_id
from alta_common.telemetry.context import bind_request, span
from alta_common.telemetry.metrics import exemplar, http_server_active, http_server_duration

log = structlog.get_logger()

HEADER = "x-request-id"
UNMATCHED = "unmatched"
CLIENT_CLOSED_REQUEST = 499

_VALID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def request_id_of(sent: str | None) -> str:
    """Return the client's request id when it is 1-128 of `[A-Za-z0-9._-]`, else a new one."""
    return sent if sent is not None and _VALID.fullmatch(sent) else str(new_id())


class RequestContextMiddleware:
    """Gives every request its id and its place in a trace, and accounts for it when it is done.

    The id comes back as `X-Request-ID` on every answer. `traceparent` is continued in a server span named after the
    route's template. An exception that nobody foresaw is logged with its stack and answered with a plain 500 problem.

    The client's address is the first of `X-Forwarded-For`: the gateway deletes what clients send and sets its own.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; other kinds of scope (lifespan) pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = request_id_of(headers.get(HEADER))
        scope.setdefault("state", {})["request_id"] = request_id
        client = _client_of(scope, headers)
        with (
            bind_request(request_id, client),
            span(
                str(scope["method"]),
                traceparent=headers.get("traceparent", ""),
                tracestate=headers.get("tracestate"),
                kind=SpanKind.SERVER,
                attributes=_attributes(scope, headers, client),
            ) as server_span,
        ):
            await _Exchange(scope, send, request_id, client, server_span).run(self._app, receive)


def _client_of(scope: Scope, headers: Headers) -> str | None:
    forwarded = headers.get("x-forwarded-for")
    if forwarded:
        with suppress(ValueError):
            return str(ipaddress.ip_address(forwarded.partition(",")[0].strip()))
    return scope["client"][0] if scope.get("client") else None


def _attributes(scope: Scope, headers: Headers, client: str | None) -> dict[str, str | int | float | bool]:
    attributes: dict[str, str | int | float | bool] = {
        "http.request.method": scope["method"],
        "url.path": scope["path"],
        "url.scheme": scope.get("scheme", "http"),
        "user_agent.original": headers.get("user-agent", "")[:200],
    }
    if client:
        attributes["client.address"] = client
    return attributes


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send, request_id: str, client: str | None, server_span: Span) -> None:
        self._scope = scope
        self._send = send
        self._request_id = request_id
        self._client = client
        self._span = server_span
        self._status: int | None = None
        self._bytes = 0

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        method = self._scope["method"] if self._scope["method"] in _METHODS else "_OTHER"
        http_server_active.labels(method).inc()
        started = time.perf_counter()
        try:
            await app(self._scope, receive, self._answer)
        except ClientDisconnect:
            self._status = self._status or CLIENT_CLOSED_REQUEST
        except Exception as error:  # noqa: BLE001 - the last resort: the client must get an answer
            await self._fail(receive, error)
        finally:
            http_server_active.labels(method).dec()
            self._account(method, time.perf_counter() - started)

    async def _answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            MutableHeaders(raw=message.setdefault("headers", []))[HEADER] = self._request_id
        elif message["type"] == "http.response.body":
            self._bytes += len(message.get("body", b""))
        await self._send(message)

    async def _fail(self, receive: Receive, error: Exception) -> None:
        log.error("request.crashed", method=self._scope["method"], path=self._scope["path"], exc_info=error)
        self._span.record_exception(error)
        if self._status is None:
            await internal_error(self._scope["path"])(self._scope, receive, self._answer)
            return
        # The head is out already: only a broken connection can still tell the client that the answer is not whole.
        self._status = 500
        raise error

    def _account(self, method: str, seconds: float) -> None:
        status = self._status or CLIENT_CLOSED_REQUEST
        route = _template_of(self._scope)
        self._span.update_name(f"{method} {route}" if route else method)
        self._span.set_attribute("http.response.status_code", status)
        if route:
            self._span.set_attribute("http.route", route)
        if status >= 500:  # noqa: PLR2004 - the class of server errors
            self._span.set_status(Status(StatusCode.ERROR))
        http_server_duration.labels(method, route or UNMATCHED, str(status)).observe(seconds, exemplar())
        principal = self._scope.get("state", {}).get("principal")
        log.info(
            "http.request",
            method=self._scope["method"],
            path=self._scope["path"],
            route=route,
            status=status,
            bytes=self._bytes,
            duration_ms=round(seconds * 1000, 2),
            client=self._client,
            user_id=str(principal.user_id) if principal else None,
        )


def _template_of(scope: Scope) -> str | None:
    """Return the matched route's path with its parameters unfilled, prefixes of including routers included."""
    included: Any = scope.get("fastapi", {}).get("effective_route_context")
    template = getattr(included, "path", None) or getattr(scope.get("route"), "path", None)
    return str(template) if template else None
