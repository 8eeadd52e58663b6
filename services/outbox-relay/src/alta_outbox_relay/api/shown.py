"""Content of messages in answers: as JSON when it is JSON, else as it is, in base64. Nothing is decrypted."""

import base64
from typing import Any

import orjson

MAX_SHOWN_BYTES = 256 * 1024


def payload_of(body: bytes) -> Any:
    """Return a body as a JSON value; None when it is none, or too long to be an event."""
    if len(body) > MAX_SHOWN_BYTES:
        return None
    try:
        return orjson.loads(body)
    except ValueError:
        return None


def raw_of(body: bytes) -> str | None:
    """Return the beginning of a body that is not JSON in base64; None for one that is."""
    return None if payload_of(body) is not None else base64.b64encode(body[:MAX_SHOWN_BYTES]).decode()
