"""What the gateway itself says in the OpenAPI document."""

from typing import Any

Document = dict[str, Any]

_PROBLEM_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_DESCRIPTION = """Upload documents and voice recordings into projects; read back their text.

Every error is a problem document (RFC 9457) whose `code` is stable. Every answer carries `X-Request-ID`: name it when
you ask for help. Limited answers carry `RateLimit-Policy` and `RateLimit`; a refused one says in
`Retry-After` when to come back.

Sign in with `POST /v1/auth/login` and send the access token as `Authorization: Bearer …`."""
_TAGS = ("Authentication", "Users", "Projects", "Members", "Documents", "Voice samples", "Keys", "Operations", "Health")
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds until it is worth trying again.", "schema": {"type": "integer"}}
}
_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457). `code` is for programs, `detail` for people.",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id", "trace_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "instance": {"type": ["string", "null"], "format": "uri-reference"},
        "code": {"type": "string", "pattern": "^[a-z0-9_]+$"},
        "request_id": {"type": ["string", "null"]},
        "trace_id": {"type": ["string", "null"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


def base_document(version: str, public_url: str) -> Document:
    """Return the document without any service: its frame, the common problems, and the gateway's own endpoints."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Alta Data", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": public_url}],
        "security": [{"bearer": []}],
        "paths": _own_paths(),
        "components": {
            "schemas": {"Problem": _PROBLEM},
            "responses": {
                "Unauthenticated": _problem(
                    "The access token is missing, expired, revoked or not valid.",
                    {"WWW-Authenticate": {"description": "RFC 6750.", "schema": {"type": "string"}}},
                ),
                "TooLarge": _problem("The body is larger than this route takes."),
                "TooManyRequests": _problem("Too many requests.", _RETRY_AFTER),
                "Unavailable": _problem("A part that is needed does not answer now.", _RETRY_AFTER),
            },
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The `access_token` that `POST /v1/auth/login` gives.",
                }
            },
        },
        # In the order in which somebody who is new needs them.
        "tags": [{"name": name} for name in _TAGS],
    }


def _problem(description: str, headers: Document | None = None) -> Document:
    problem: Document = {"description": description, "content": _PROBLEM_CONTENT}
    return {**problem, "headers": headers} if headers else problem


def _own_paths() -> Document:
    state = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
    named = {"type": "object", "additionalProperties": {"type": "string"}}
    ready = {**state, "properties": {**state["properties"], "checks": named}}  # type: ignore[dict-item]  # a JSON value
    overview = {
        "type": "object",
        "required": ["status", "version", "services"],
        "properties": {
            "status": {"type": "string", "enum": ["ok", "degraded"]},
            "version": {"type": "string"},
            "services": named,
        },
    }
    return {
        "/health": _get("health", "How the platform is", {"200": _json("The gateway answers.", overview)}),
        "/health/live": _get("live", "The process runs", {"200": _json("It does.", state)}),
        "/health/ready": _get(
            "ready",
            "Traffic may come",
            {"200": _json("It may.", ready), "503": _json("Not now; the checks say why.", ready)},
        ),
        "/openapi.json": _get("openapi", "This document", {"200": _json("OpenAPI 3.1.", {"type": "object"})}),
        "/asyncapi.json": _get(
            "asyncapi",
            "The events between the services; one service's alone is at /asyncapi/{service}.json",
            {"200": _json("AsyncAPI 3.0.", {"type": "object"})},
        ),
    }


def _get(name: str, summary: str, responses: Document) -> Document:
    operation = {
        "tags": ["Health"],
        "operationId": f"gateway_{name}",
        "summary": summary,
        "responses": responses,
        "security": [],
    }
    return {"get": operation}


def _json(description: str, schema: Document) -> Document:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
