"""Answers with versions: `ETag`, 304, and those that are stored with an `Idempotency-Key`."""

import hashlib
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Response
from pydantic import BaseModel

from alta_common.http.etags import etag_of, not_modified, require_match
from alta_common.http.idempotency import StoredAnswer
from alta_projects.models.media_item import MediaItem
from alta_projects.models.member import Member
from alta_projects.repositories.projects import Membership

_JSON = "application/json"
# Kept by the client alone, and asked about each time.
CACHE_CONTROL = "private, no-cache"


def project_etag(membership: Membership) -> str:
    """Return the version of a project as one member sees it: the role is part of what is shown."""
    return etag_of(f"{membership.project.version}-{membership.role.value}")


def member_etag(member: Member) -> str:
    """Return the version of a member."""
    return etag_of(member.version)


def item_etag(item: MediaItem) -> str:
    """Return the version of an item."""
    return etag_of(item.version)


def versioned(body: BaseModel, etag: str, if_none_match: str | None = None) -> Response:
    """Return a resource with its version, or 304 when the client has that already."""
    headers = {"ETag": etag, "Cache-Control": CACHE_CONTROL}
    if not_modified(if_none_match, etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body.model_dump_json(), headers=headers, media_type=_JSON)


def listed(page: BaseModel, if_none_match: str | None) -> Response:
    """Return a page of a list with the digest of what is on it as its version, or 304."""
    body = page.model_dump_json()
    headers = {"ETag": etag_of(hashlib.sha256(body.encode()).hexdigest()), "Cache-Control": CACHE_CONTROL}
    if not_modified(if_none_match, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, headers=headers, media_type=_JSON)


def refuse_stale(if_match: str | None, current: str) -> None:
    """Raise `StaleError` when the client means to change another version. Without `If-Match` the last change wins."""
    if if_match is not None:
        require_match(if_match, current)


def stored_answer(status: HTTPStatus, body: BaseModel, headers: Mapping[str, str]) -> StoredAnswer:
    """Return an answer in the form that is stored."""
    return StoredAnswer(int(status), {"Content-Type": _JSON, **headers}, body.model_dump_json().encode())


def answer(given: StoredAnswer) -> Response:
    """Return the answer to the first of equal requests."""
    return Response(given.body, given.status, dict(given.headers))
