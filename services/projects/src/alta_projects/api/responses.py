"""OpenAPI descriptions of answers that are no plain JSON resource."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from alta_common.http.problems import MEDIA_TYPE
from alta_projects.api import examples
from alta_projects.formats.page_image import ImageKind
from alta_projects.formats.table import CANONICAL, OutputFormat

Responses = dict[int | str, dict[str, Any]]

# Whatever the file is: PDF, PNG, FLAC ….
_FILE = {"schema": {"type": "string", "format": "binary"}}
_BINARY = {"*/*": _FILE}
_TEXT = {"schema": {"type": "string"}}
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_LOCATION = {"Location": {"schema": {"type": "string", "format": "uri-reference"}}}
_NOT_MODIFIED = {"description": "The client has it already."}
# Of a resource that is read with `If-None-Match`.
NOT_MODIFIED: Responses = {304: _NOT_MODIFIED}


def problems(**said: str) -> Responses:
    """Describe problems of a route by their status: `problems(r409="It is being read.")`."""
    return {int(status[1:]): {"description": words, "content": _PROBLEM} for status, words in said.items()}


def content_responses() -> Responses:
    """Describe a download."""
    return {
        200: {"description": "The whole file, with its own media type.", "content": _BINARY},
        206: {"description": "The range that was asked for.", "content": _BINARY},
        304: _NOT_MODIFIED,
        **problems(r416="No byte of the file lies in the range."),
    }


def event_responses() -> Responses:
    """Describe an event stream."""
    return {
        200: {
            "description": "The stream. It has no end of its own.",
            "content": {"text/event-stream": {**_TEXT, "example": examples.EVENTS}},
        },
        **problems(
            r404="There is no such project that you can see.",
            r503="Too many streams are open, or the server is stopping; come again after `Retry-After`.",
        ),
    }


def page_image_responses() -> Responses:
    """Describe the image of a page."""
    return {
        200: {
            "description": "The page, upright; `Vary: Accept`.",
            "content": {kind.media_type: _FILE for kind in ImageKind},
        },
        304: _NOT_MODIFIED,
        **problems(
            r404="There is no such document, or it is not yours to see; no such page (`no_such_page`) or revision.",
            r406="`Accept` allows none of JPEG, WebP and PNG.",
            r409="The page cannot be drawn (`page_not_available`): the original is damaged, or needs too much time.",
            r503="Too many are being drawn at the moment; try again after `Retry-After`.",
        ),
    }


def result_responses(model: type[BaseModel], formats: Iterable[OutputFormat]) -> Responses:
    """Describe a result in its `formats`: `model` is its canonical form."""
    rendered = [one for one in formats if one.name != CANONICAL]
    kinds = "; ".join(f"`{one.name}` ({one.media_type}, {one.extension})" for one in rendered)
    return {
        200: {
            "model": model,
            "description": f"The result in the format that was asked for: `json` (canonical); {kinds}.",
            "content": {one.media_type: _FILE if one.needs_original else _TEXT for one in rendered},
        },
        304: _NOT_MODIFIED,
        **problems(
            r404="There is no such item, or it is not yours to see; or it has no such revision (`revision_not_found`).",
            r409="There is no result: `result_not_ready`, `processing_failed` or `processing_cancelled`. Or it cannot "
            "be had in this format (`format_not_available`): the original cannot be opened, or needs too much time.",
            r503="Too many are being made at the moment; try again after `Retry-After`.",
        ),
    }


_RIGHTS = {
    "r403": "You may look at it, but it is not yours to change.",
    "r404": "There is no such item, or it is not yours to see.",
}


def reprocess_responses() -> Responses:
    """Describe what reading an item again may answer."""
    return {
        202: {"description": "It waits to be read again; watch it at `Location`.", "headers": _LOCATION},
        **problems(
            **_RIGHTS,
            r409="It is still being read (`still_processing`): cancel that first. Or a request with this "
            "`Idempotency-Key` is still running.",
            r412="It has changed since the version that `If-Match` names.",
        ),
    }


def cancel_responses() -> Responses:
    """Describe what stopping a run may answer."""
    return {
        202: {"description": "It is cancelled, and its engine is being told.", "headers": _LOCATION},
        **problems(**_RIGHTS, r409="It has been read, or has failed, already (`already_finished`)."),
    }
