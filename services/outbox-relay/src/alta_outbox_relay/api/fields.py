"""Types of request fields."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, StringConstraints


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("control characters are not allowed")
    return value


def _in_reach(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("this moment is out of reach") from error


Word = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_printable)]
Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), AfterValidator(_printable)
]
Moment = Annotated[AwareDatetime, AfterValidator(_in_reach)]
DeadQueue = Annotated[str, Path(max_length=128, description="A queue of dead letters, e.g. `ocr_queue.dead`.")]
