"""Pages of a list: `?limit=` and an opaque `?cursor=` in, `{items, next_cursor}` out.

A cursor holds the sort key of the last item shown, so that pages stay stable while rows are inserted. It is opaque by
agreement, not by secrecy: whoever decodes it must check what is inside as it would any input.
"""

import base64
import binascii
from typing import Annotated, Any, Generic, TypeVar

import orjson
from fastapi import Query
from pydantic import BaseModel, Field

from alta_common.errors import FieldError, InvalidError

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_MAX_CURSOR = 1024

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many items a page has at the most.")]
Cursor = Annotated[
    str | None, Query(max_length=_MAX_CURSOR, description="`next_cursor` of the page before; none: the first page.")
]


class Page(BaseModel, Generic[T]):
    """One page; `next_cursor` is null on the last."""

    items: list[T]
    next_cursor: str | None = Field(description="What to send as `cursor` for the next page.")


class InvalidCursorError(InvalidError):
    """The cursor is not one that we gave."""

    code = "invalid_cursor"

    def __init__(self) -> None:
        detail = "The cursor is not one that this list gave."
        super().__init__(detail, [FieldError("/query/cursor", detail)])


def encode_cursor(position: dict[str, Any]) -> str:
    """Return a position (JSON values, UUIDs, datetimes) as an opaque cursor."""
    return base64.urlsafe_b64encode(orjson.dumps(position)).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> dict[str, Any]:
    """Return the position of a cursor; UUIDs and datetimes come back as strings. Raises `InvalidCursorError`."""
    try:
        position = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise InvalidCursorError from error
    if not isinstance(position, dict):
        raise InvalidCursorError
    return position
