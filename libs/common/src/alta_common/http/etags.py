"""Versions of things on the wire: `ETag`, `If-Match`, `If-None-Match` (RFC 9110 sections 8.8 and 13)."""

import re
from typing import Annotated

from fastapi import Header

from alta_common.errors import StaleError
from alta_common.http.preconditions import PreconditionRequiredError

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')

IfMatch = Annotated[
    str | None, Header(alias="If-Match", description="The ETag of the version that the change is meant for.")
]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match", description="The ETag that the client has already.")]


def etag_of(version: int | str) -> str:
    """Return the strong entity tag of a version: `"7"`, or a content hash in quotes."""
    return f'"{version}"'


def require_match(if_match: str | None, current: str) -> None:
    """Let a change pass when `If-Match` names `current` (an entity tag) or is `*`.

    Raises `StaleError` (412) when it names others, `PreconditionRequiredError` (428) when there is none. The comparison
    is the strong one: a weak tag never matches.
    """
    if if_match is None or not if_match.strip():
        raise PreconditionRequiredError("Send If-Match with the ETag of the version that you mean to change.")
    if if_match.strip() == "*":
        return
    if current not in [f'"{value}"' for weak, value in _TAG.findall(if_match) if not weak]:
        raise StaleError(f"It has changed since you read it: its ETag is now {current}.")


def not_modified(if_none_match: str | None, current: str) -> bool:
    """Say whether the client already has `current` (weak comparison), so that 304 is the answer."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    opaque = current.removeprefix("W/")
    return any(f'"{value}"' == opaque for _, value in _TAG.findall(if_none_match))
