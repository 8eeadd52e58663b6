"""Answers to what is not a request that the pipeline could answer."""

from email.utils import formatdate

import httptools
import structlog
from opentelemetry.trace import SpanKind

from alta_common.http.request_id import request_id_of
from alta_common.telemetry.context import bind_request, current_traceparent, span
from alta_gateway.answers import RawHeaders, Refusal, as_bytes, complete
from alta_gateway.metrics import refused

log = structlog.get_logger()


def refusal_of(error: httptools.HttpParserError) -> Refusal:
    """Return what a parser's complaint means to the client."""
    reason = str(error)
    if "`Transfer-Encoding` header value" in reason:
        return Refusal(501, "transfer_encoding_not_supported", "The only transfer coding here is chunked.")
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return Refusal(400, "bad_request", "The request line has no method that is known here.")
    return Refusal(400, "bad_request", f"This is not a request that can be read: {reason}.")


def too_many_fields() -> Refusal:
    """Return the refusal of a head that is too large."""
    return Refusal(431, "header_fields_too_large", "The request has too many headers, or too large ones.")


def too_slow(part: str) -> Refusal:
    """Return the refusal of a request whose head or body does not come."""
    return Refusal(408, "request_timeout", f"The request's {part} came too slowly.")


def refusal_bytes(refusal: Refusal, target: bytes, headers: RawHeaders, client: str) -> bytes:
    """Return a refusal as it goes over the wire, and account for it."""
    sent = next((value.decode("latin-1") for name, value in headers if name == b"x-request-id"), None)
    request_id = request_id_of(sent)
    instance = target.partition(b"?")[0].decode("latin-1")[:200] or None
    with bind_request(request_id, client or None), span("HTTP refused", kind=SpanKind.SERVER) as refused_span:
        refused_span.set_attribute("http.response.status_code", refusal.status)
        answer = refusal.answer(instance)
        date = [(b"date", formatdate(usegmt=True).encode())]
        wire = as_bytes(answer, complete(answer.headers, request_id, current_traceparent(), date))
        log.info("http.refused", status=refusal.status, code=refusal.code, detail=refusal.detail, client=client)
    refused.labels(refusal.code).inc()
    return wire
