"""Types of request fields: what PostgreSQL could not keep is refused at the border."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints, WithJsonSchema

from alta_common.addresses import canonical_address
from alta_projects.models.reading import SECTIONS

MAX_OBJECT_BYTES = 16 * 1024


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


def _address(value: str) -> str:
    """Return an address as identity tells us those of accounts, in lower case: the two must be found to be the same."""
    return canonical_address(value.strip()).lower()


def _as_text(value: object) -> object:
    # Pydantic would take a number for seconds since 1970.
    if isinstance(value, str) and value.strip().lstrip("+-").replace(".", "", 1).isdecimal():
        raise ValueError("it is not a moment as in RFC 3339, e.g. 2026-01-31T09:26:53Z")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("this moment is out of range") from error


Storable = AfterValidator(_storable)

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), Storable]
Description = Annotated[str, Field(max_length=10_000), Storable]
JsonObject = Annotated[dict[str, Any], AfterValidator(_json_object)]
# What is said about reading is checked, in the project's own rules; the rest is the client's.
ProjectSettings = Annotated[
    JsonObject,
    WithJsonSchema(
        {
            "type": "object",
            "description": "Settings of the project: how its documents and voice samples are read, and any others.",
            "properties": {name: section.model_json_schema() for name, section in SECTIONS.items()},
            "additionalProperties": True,
            "examples": [{"documents": {"engine": "local", "language": "de", "deadline_minutes": 120}}],
        }
    ),
]
EmailAddress = Annotated[str, Field(max_length=254, json_schema_extra={"format": "email"}), AfterValidator(_address)]
Moment = Annotated[AwareDatetime, BeforeValidator(_as_text), AfterValidator(_in_utc)]
SearchText = Annotated[str, StringConstraints(min_length=1, max_length=200), Storable]
