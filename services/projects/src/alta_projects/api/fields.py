"""Types of request fields: what PostgreSQL could not keep is refused at the border."""

import json
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, Field, StringConstraints

MAX_OBJECT_BYTES = 16 * 1024

LANGUAGE = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
ENGINE = r"^[a-z0-9][a-z0-9._-]{0,39}$"


def _storable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("the character U+0000 is not allowed")
    return value


def _json_object(value: dict[str, Any]) -> dict[str, Any]:
    """Return `value` when it is plain JSON of a reasonable size that PostgreSQL can keep."""
    try:
        canonical = orjson.dumps(value)
        # What orjson would make null of: NaN and the infinities are no JSON.
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError("it holds what JSON cannot hold, or is nested too deeply") from error
    if len(canonical) > MAX_OBJECT_BYTES:
        raise ValueError(f"as JSON it has {MAX_OBJECT_BYTES} bytes at the most")
    if b"\\u0000" in canonical:
        raise ValueError("the character U+0000 is not allowed")
    plain: dict[str, Any] = orjson.loads(canonical)
    return plain


Storable = AfterValidator(_storable)

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), Storable]
Description = Annotated[str, Field(max_length=10_000), Storable]
JsonObject = Annotated[dict[str, Any], AfterValidator(_json_object)]
SearchText = Annotated[str, StringConstraints(min_length=1, max_length=200), Storable]
