"""OpenAPI descriptions of problems."""

from typing import Any

from alta_common.http.problems import MEDIA_TYPE

_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def problems(**said: str) -> dict[int | str, dict[str, Any]]:
    """Describe problems of a route by their status: `problems(r409="It is being published.")`."""
    return {int(status[1:]): {"description": words, "content": _PROBLEM} for status, words in said.items()}
