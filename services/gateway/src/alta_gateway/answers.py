"""Answers that the gateway gives itself, and the headers that every answer carries."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from alta_common.errors import AltaError, InvalidError
from alta_common.http import problems

RawHeaders = list[tuple[bytes, bytes]]

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"strict-transport-security", b"max-age=63072000; includeSubDomains"),
    (
        b"content-security-policy",
        b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"permissions-policy",
        b"accelerometer=(), camera=(), geolocation=(), gyroscope=(), microphone=(), payment=(), usb=()",
    ),
    (b"cache-control", b"no-store"),
)
# A file that somebody uploaded must never run as a page of ours.
DOWNLOAD_POLICY = (
    b"content-security-policy",
    b"sandbox; default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, ready to be sent."""

    status: int
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes = b""


class Refusal(Exception):  # noqa: N818 - a decision, not a fault
    """The request ends here with this status. For what HTTP itself names; other failures are `AltaError` kinds."""

    def __init__(self, status: int, code: str, detail: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers

    def answer(self, instance: str | None) -> Answer:
        """Return the problem that says so."""
        body = problems.problem(self.status, self.code, problems.title_of(self.code), self.detail, instance=instance)
        return _problem(self.status, body, self.headers)


def answer_of(error: AltaError, instance: str) -> Answer:
    """Return the answer to a request that ended in an error of a known kind."""
    status = problems.status_of(error)
    fields = error.errors if isinstance(error, InvalidError) else ()
    body = problems.problem(
        status, error.code, problems.title_of(error.code), error.detail, instance=instance, field_errors=fields
    )
    headers = [(name.encode(), value.encode()) for name, value in problems.headers_of(error).items()]
    return _problem(status, body, headers)


def json_answer(status: int, content: Any) -> Answer:
    """Return a JSON answer."""
    return Answer(status, [(b"content-type", b"application/json")], orjson.dumps(content))


def crashed(instance: str) -> Answer:
    """Return the answer when something unforeseen happened; it tells nothing of what."""
    detail = "Something went wrong on our side. Please tell us the request id."
    return Refusal(500, "internal_error", detail).answer(instance)


def complete(
    headers: Sequence[tuple[bytes, bytes]], request_id: str, traceparent: str | None, extra: RawHeaders
) -> RawHeaders:
    """Return `headers` with those that every answer carries; a security header that is set already stays as it is."""
    present = {name for name, _ in headers}
    full = [*headers, *extra, (b"x-request-id", request_id.encode())]
    if traceparent is not None:
        full.append((b"traceparent", traceparent.encode()))
    full += [pair for pair in SECURITY_HEADERS if pair[0] not in present]
    return full


def as_bytes(answer: Answer, headers: RawHeaders) -> bytes:
    """Return an answer as it goes over the wire, for where there is no request to answer through ASGI."""
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in headers]
    lines += [b"content-length: %d" % len(answer.body), b"connection: close", b"", answer.body]
    return b"\r\n".join(lines)


def _problem(status: int, body: dict[str, Any], headers: Sequence[tuple[bytes, bytes]]) -> Answer:
    return Answer(status, [(b"content-type", problems.MEDIA_TYPE.encode()), *headers], orjson.dumps(body))
