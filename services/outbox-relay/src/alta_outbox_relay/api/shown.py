"""Content of messages in answers: as JSON when it is JSON, else as it is, in base64. Nothing is decrypted."""

import base64
from collections.abc import Iterable
from typing import Any

import orjson

MAX_SHOWN_BYTES = 256 * 1024
MAX_SHOWN_DEPTH = 100
"""Events have five levels; what writes JSON for answers gives up at 254, and what reads it takes 1,024."""


def payload_of(body: bytes) -> Any:
    """Return a body as a JSON value; None when it is none, or too long or too deep to be an event."""
    if len(body) > MAX_SHOWN_BYTES:
        return None
    try:
        value = orjson.loads(body)
    except ValueError:
        return None
    return None if _is_too_deep(value) else value


def raw_of(body: bytes) -> str | None:
    """Return the beginning of a body that is not shown as JSON in base64; None for one that is."""
    return None if payload_of(body) is not None else base64.b64encode(body[:MAX_SHOWN_BYTES]).decode()


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_SHOWN_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
