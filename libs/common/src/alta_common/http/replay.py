"""The HTTP side of `Idempotency-Key`: the header, and the stored answer as an answer."""

from typing import Annotated

from fastapi import Header
from pydantic import AfterValidator
from starlette.responses import Response

from alta_common.http.idempotency import StoredAnswer

REPLAYED = "Idempotency-Replayed"


def _unquoted(key: str) -> str:
    # The draft has a quoted string (RFC 8941); most clients send the bare value. Both mean the same key.
    quoted = len(key) > 1 and key.startswith('"') and key.endswith('"')
    key = key[1:-1] if quoted else key
    if not key or not key.isprintable():
        raise ValueError("an Idempotency-Key has 1 to 255 printable characters")
    return key


IdempotencyKey = Annotated[
    Annotated[str, AfterValidator(_unquoted)] | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Makes sending the request again safe: the same key and request get the same answer for 24 hours.",
    ),
]


def replay(answer: StoredAnswer) -> Response:
    """Return the answer that the first request got, marked as a replay."""
    return Response(answer.body, answer.status, {**answer.headers, REPLAYED: "true"})
