"""OpenAPI descriptions of answers that are no plain JSON resource."""

from typing import Any

from pydantic import BaseModel

_BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def content_responses() -> dict[int | str, dict[str, Any]]:
    """Describe a download."""
    return {
        200: {"description": "The whole file, with its own media type.", "content": _BINARY},
        206: {"description": "The range that was asked for.", "content": _BINARY},
        304: {"description": "The client has it already."},
    }


def result_responses(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Describe a result: `model` is its canonical form."""
    return {
        200: {
            "model": model,
            "description": "The result in the format that was asked for.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        304: {"description": "The client has it already."},
    }
