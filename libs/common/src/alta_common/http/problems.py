"""Errors as HTTP bodies: RFC 9457 `application/problem+json`, for every non-2xx answer.

`type` is the stable URI reference `/problems/<code>`: it names the kind of problem; nothing is served there.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from alta_common import errors
from alta_common.http.preconditions import PreconditionRequiredError
from alta_common.telemetry.context import correlation_id, current_trace_id

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
REALM = "alta"
# Of a path, as RFC 3986 has it; what is escaped already stays so.
_PATH_CHARACTERS = "/%:@!$&'()*+,;=-._~"

PROBLEM_OF: dict[type[errors.AltaError], int] = {
    errors.NotFoundError: 404,
    errors.ConflictError: 409,
    errors.StaleError: 412,
    errors.ForbiddenError: 403,
    errors.UnauthenticatedError: 401,
    errors.InvalidError: 422,
    errors.TooLargeError: 413,
    errors.UnsupportedMediaTypeError: 415,
    errors.RateLimitedError: 429,
    errors.UnavailableError: 503,
    PreconditionRequiredError: 428,
}

# Codes of what the framework itself refuses.
_CODE_OF_STATUS = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "request_timeout",
    409: "conflict",
    413: "payload_too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "validation_failed",
    429: "rate_limited",
    431: "header_fields_too_large",
    503: "unavailable",
}


def status_of(error: errors.AltaError) -> int:
    """Return the HTTP status of an error's kind; 500 for one that is of no kind."""
    return next((PROBLEM_OF[kind] for kind in type(error).__mro__ if kind in PROBLEM_OF), 500)


def title_of(code: str) -> str:
    """Return the short sentence that stands for a code: the same for every problem of that code."""
    return code.replace("_", " ").capitalize()


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    instance: str | None = None,
    field_errors: Sequence[errors.FieldError] = (),
) -> dict[str, Any]:
    """Return the body of a problem; request and trace id are those of the present request."""
    body: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "detail": detail,
        # A URI reference: a path that has been decoded may hold anything.
        "instance": None if instance is None else quote(instance, safe=_PATH_CHARACTERS),
        "code": code,
        "request_id": correlation_id(),
        "trace_id": current_trace_id(),
    }
    if field_errors:
        body["errors"] = [{"pointer": field.pointer, "detail": field.detail} for field in field_errors]
    return body


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    instance: str | None = None,
    field_errors: Sequence[errors.FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a whole answer that says what went wrong."""
    body = problem(status, code, title_of(code), detail, instance=instance, field_errors=field_errors)
    # A problem is about one request at one moment: no cache may keep it.
    return Response(orjson.dumps(body), status, {"cache-control": "no-store", **(headers or {})}, MEDIA_TYPE)


def headers_of(error: errors.AltaError) -> dict[str, str]:
    """Return the headers that an error's kind asks for: `WWW-Authenticate` (RFC 6750), `Retry-After` (RFC 9110)."""
    if isinstance(error, errors.UnauthenticatedError):
        return {"www-authenticate": _challenge(error)}
    if isinstance(error, errors.RateLimitedError | errors.UnavailableError):
        return {"retry-after": str(max(1, error.retry_after_seconds))}
    return {}


def _challenge(error: errors.UnauthenticatedError) -> str:
    # RFC 6750 section 3.1: no error code unless a token was sent and refused.
    if error.code.startswith("token_"):
        return f'Bearer realm="{REALM}", error="invalid_token", error_description="{error.code}"'
    return f'Bearer realm="{REALM}"'


def response_of(error: errors.AltaError, instance: str) -> Response:
    """Return the answer to a request that ended in `error`."""
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request.failed", code=error.code, error=error.detail)
    fields = error.errors if isinstance(error, errors.InvalidError) else ()
    return problem_response(
        status, error.code, error.detail, instance=instance, field_errors=fields, headers=headers_of(error)
    )


def internal_error(instance: str) -> Response:
    """Return the answer to a request that ended in something unforeseen; it tells nothing of what that was."""
    return problem_response(
        500, "internal_error", "Something went wrong on our side. Please tell us the request id.", instance=instance
    )


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every foreseen error of `app` with a problem. The unforeseen is `RequestContextMiddleware`'s."""
    app.add_exception_handler(errors.AltaError, _on_alta_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)


async def _on_alta_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.AltaError)
    return response_of(error, request.url.path)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    code = _CODE_OF_STATUS.get(status, "http_error")
    detail = {
        404: f"There is nothing at {request.url.path}.",
        405: f"{request.method} is not possible at {request.url.path}.",
    }.get(status, str(error.detail))
    if "parsing the body" in detail:  # FastAPI's words for a body that cannot be read, a malformed multipart form say
        code, detail = "malformed_body", "The body cannot be read as what its Content-Type says it is."
    headers = dict(error.headers or {})
    if status == HTTPStatus.UNAUTHORIZED:
        headers.setdefault("www-authenticate", f'Bearer realm="{REALM}"')
    return problem_response(status, code, detail, instance=request.url.path, headers=headers)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    path = request.url.path
    if any(one["type"] == "json_invalid" for one in found):
        return problem_response(400, "malformed_json", "The body is not valid JSON (RFC 8259).", instance=path)
    if _sent_no_json(request, found):
        return problem_response(
            415, "unsupported_media_type", "The body must be sent as application/json.", instance=path
        )
    fields = [errors.FieldError(_pointer(one["loc"]), _sentence(one["msg"])) for one in found]
    said = "One field is not as it" if len(fields) == 1 else f"{len(fields)} fields are not as they"
    return problem_response(
        422, "validation_failed", f"{said} must be; see errors.", instance=path, field_errors=fields
    )


def _sent_no_json(request: Request, found: Sequence[Mapping[str, Any]]) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or media_type.endswith("+json")
    return not is_json and any(one["loc"] == ("body",) and one["type"] != "missing" for one in found)


def _pointer(location: Sequence[str | int]) -> str:
    """Return a JSON Pointer (RFC 6901): into the body, or below `/query`, `/path`, `/header`."""
    parts = [str(part).replace("~", "~0").replace("/", "~1") for part in location]
    if parts and parts[0] == "body":
        parts = parts[1:]
    return "".join("/" + part for part in parts)


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
