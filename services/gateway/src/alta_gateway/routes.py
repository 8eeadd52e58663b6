"""Every route of the external API: where it goes and what it asks for."""

from dataclasses import replace

from alta_gateway.routing import Kind, Route, Timeouts
from alta_gateway.settings import GatewaySettings

IDENTITY = "identity"
PROJECTS = "projects"
OPERATIONS = "outbox-admin"
GATEWAY = "gateway"

AUTH_BODY_BYTES = 64 * 1024
# Names of five hundred events.
OPERATIONS_BODY_BYTES = 64 * 1024

# Methods and templates, one line for each path of the API.
_IDENTITY = """
POST /v1/auth/logout
POST /v1/auth/password/change
GET PATCH DELETE /v1/users/me
GET /v1/users/me/export
GET /v1/users/me/sessions
DELETE /v1/users/me/sessions/{id}
GET POST /v1/api-keys
DELETE /v1/api-keys/{id}
GET /v1/audit-logs
GET /v1/admin/users
PATCH /v1/admin/users/{id}
"""
_PROJECTS = """
GET POST /v1/projects
GET PATCH DELETE /v1/projects/{id}
GET POST /v1/projects/{id}/members
PATCH DELETE /v1/projects/{id}/members/{user_id}
GET /v1/projects/{id}/documents
GET /v1/projects/{id}/voice-samples
GET /v1/projects/{id}/audit-logs
GET /v1/projects/{id}/audit-logs/verify
GET POST /v1/projects/{id}/webhooks
DELETE /v1/projects/{id}/webhooks/{webhook_id}
GET /v1/projects/{id}/webhooks/{webhook_id}/deliveries
POST /v1/projects/{id}/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver
POST /v1/projects/{id}/exports
GET /v1/exports/{id}
GET /v1/projects/{id}/review-queue
POST /v1/projects/{id}/review-queue/claim
GET /v1/projects/{id}/agreement
GET /v1/projects/{id}/analytics
GET /v1/analytics/overview
"""
_ITEM = """
GET DELETE /v1/{items}/{id}
GET /v1/{items}/{id}/revisions
POST /v1/{items}/{id}/reprocess
POST /v1/{items}/{id}/cancel
POST /v1/{items}/{id}/reviews
"""
_PUBLIC_IDENTITY = """
POST /v1/auth/register
POST /v1/auth/verify-email
GET /.well-known/jwks.json
GET /.well-known/oauth-authorization-server
"""
_OPERATIONS = """
GET /v1/admin/outbox
GET /v1/admin/outbox/{event_id}
POST /v1/admin/outbox/replay
POST /v1/admin/outbox/{event_id}/park
GET /v1/admin/queues
GET /v1/admin/dead-letters
GET /v1/admin/dead-letters/{queue}
GET /v1/admin/dead-letters/{queue}/{message_id}
POST /v1/admin/dead-letters/{queue}/replay
POST /v1/admin/dead-letters/{queue}/purge
"""
_SECOND_FACTOR = """
POST DELETE /v1/users/me/mfa/totp
POST /v1/users/me/mfa/totp/confirm
"""
_OWN = """
GET /
GET /docs
GET /openapi.json
GET /asyncapi.json
GET /asyncapi/identity.json
GET /asyncapi/notifications.json
GET /asyncapi/ocr.json
GET /asyncapi/projects.json
GET /asyncapi/transcription.json
GET /verify-email
GET /health
GET /health/live
GET /health/ready
"""
_LOGIN_POLICIES = ("login_account", "login_account_address", "login_address", "login_total")


def routes_of(settings: GatewaySettings) -> list[Route]:
    """Return the table."""
    return [
        *_Rows(settings, IDENTITY).of(_IDENTITY),
        *(
            replace(row, is_public=True, kind=_public_kind(row))
            for row in _Rows(settings, IDENTITY).of(_PUBLIC_IDENTITY)
        ),
        *_Rows(settings, PROJECTS).of(_PROJECTS),
        *(row for items in ("documents", "voice-samples") for row in _items(settings, items)),
        *_sign_in(settings),
        *_second_factor(settings),
        *_streams(settings),
        *(_operations(settings) if settings.outbox_admin_url else []),
        *(replace(row, is_public=True) for row in _Rows(settings, GATEWAY).of(_OWN)),
    ]


def _public_kind(row: Route) -> Kind:
    return Kind.READ if row.method == "GET" else Kind.AUTH


class _Rows:
    """Makes ordinary routes of a service."""

    def __init__(self, settings: GatewaySettings, upstream: str) -> None:
        self._settings = settings
        self._upstream = upstream

    def of(self, table: str) -> list[Route]:
        lines = [line.split() for line in table.strip().splitlines()]
        return [self.row(method, template) for *methods, template in lines for method in methods]

    def row(self, method: str, template: str) -> Route:
        settings = self._settings
        return Route(
            method=method,
            template=template,
            upstream=self._upstream,
            kind=Kind.READ if method in ("GET", "HEAD") else Kind.WRITE,
            body_limit=settings.json_max_bytes,
            timeouts=Timeouts(
                settings.upstream_first_byte_seconds, settings.upstream_idle_seconds, settings.upstream_total_seconds
            ),
            fails_closed=(method, template) == ("POST", "/v1/api-keys"),
        )


def _items(settings: GatewaySettings, items: str) -> list[Route]:
    rows = _Rows(settings, PROJECTS)
    content = rows.of(f"GET HEAD /v1/{items}/{{id}}/content")
    downloads = [replace(row, is_download=True, timeouts=_streaming(settings)) for row in content]
    # What is made when it is asked for may take its time.
    made = [f"/v1/{items}/{{id}}/result", *(["/v1/documents/{id}/pages/{n}/image"] if items == "documents" else [])]
    patience = _streaming(settings, settings.upstream_long_first_byte_seconds)
    renditions = [replace(rows.row("GET", template), timeouts=patience) for template in made]
    limit = settings.document_max_bytes if items == "documents" else settings.voice_max_bytes
    upload = _upload(settings, "POST", f"/v1/projects/{{id}}/{items}", limit)
    return [*rows.of(_ITEM.replace("{items}", items)), *downloads, upload, *renditions]


def _upload(settings: GatewaySettings, method: str, template: str, file_bytes: int) -> Route:
    return replace(
        _Rows(settings, PROJECTS).row(method, template),
        kind=Kind.UPLOAD,
        body_limit=file_bytes + settings.multipart_overhead_bytes,
        timeouts=_streaming(settings, settings.upstream_long_first_byte_seconds),
    )


def _streaming(settings: GatewaySettings, first_byte: float | None = None) -> Timeouts:
    return Timeouts(first_byte or settings.upstream_first_byte_seconds, settings.upstream_stream_idle_seconds, None)


def _streams(settings: GatewaySettings) -> list[Route]:
    rows = _Rows(settings, PROJECTS)
    events = replace(rows.row("GET", "/v1/projects/{id}/events"), is_stream=True, timeouts=_streaming(settings))
    search = replace(rows.row("GET", "/v1/search"), kind=Kind.SEARCH)
    # tus (resumable uploads): the pieces are of any size, the file is at most a recording.
    resumable = [_upload(settings, "POST", "/v1/uploads", settings.voice_max_bytes)]
    resumable += [_upload(settings, "PATCH", "/v1/uploads/{id}", settings.voice_max_bytes)]
    return [events, search, *resumable, *rows.of("HEAD DELETE /v1/uploads/{id}")]


def _sign_in(settings: GatewaySettings) -> list[Route]:
    def row(path: str, policies: tuple[str, ...], account_field: str | None, *, fails_closed: bool) -> Route:
        return replace(
            _Rows(settings, IDENTITY).row("POST", path),
            kind=Kind.AUTH,
            is_public=True,
            body_limit=AUTH_BODY_BYTES,
            policies=policies,
            account_field=account_field,
            fails_closed=fails_closed,
        )

    return [
        row("/v1/auth/login", _LOGIN_POLICIES, "email", fails_closed=True),
        row("/v1/oauth/token", _LOGIN_POLICIES, "username", fails_closed=True),
        row("/v1/auth/password/forgot", ("reset",), "email", fails_closed=True),
        # No limit of its own: what could be guessed is a token of 256 bits.
        row("/v1/auth/password/reset", (), None, fails_closed=True),
        row("/v1/auth/resend-verification", ("resend",), "email", fails_closed=False),
        row("/v1/auth/refresh", ("refresh",), None, fails_closed=False),
    ]


def _operations(settings: GatewaySettings) -> list[Route]:
    # Going through a long queue takes its time.
    patience = _streaming(settings, settings.upstream_long_first_byte_seconds)
    rows = _Rows(settings, OPERATIONS).of(_OPERATIONS)
    return [replace(row, body_limit=OPERATIONS_BODY_BYTES, timeouts=patience) for row in rows]


def _second_factor(settings: GatewaySettings) -> list[Route]:
    rows = _Rows(settings, IDENTITY).of(_SECOND_FACTOR)
    policies = ("second_factor", "second_factor_day")
    return [replace(row, policies=policies, fails_closed=True) for row in rows]
