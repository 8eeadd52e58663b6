"""OpenAPI descriptions of answers that are no plain JSON resource."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from alta_common.http.problems import MEDIA_TYPE
from alta_projects.formats.table import OutputFormat

Responses = dict[int | str, dict[str, Any]]

# Whatever the file is: PDF, PNG, FLAC ….
_BINARY = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
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


def result_responses(model: type[BaseModel], formats: Iterable[OutputFormat]) -> Responses:
    """Describe a result in its `formats`: `model` is its canonical form."""
    rendered = [one for one in formats if one.render is not None]
    kinds = "; ".join(f"`{one.name}` ({one.media_type}, {one.extension})" for one in rendered)
    return {
        200: {
            "model": model,
            "description": f"The result in the format that was asked for: `json` (canonical); {kinds}.",
            "content": {one.media_type: {"schema": {"type": "string"}} for one in rendered},
        },
        304: _NOT_MODIFIED,
        **problems(r409="There is no result: `result_not_ready` or `processing_failed`."),
    }
