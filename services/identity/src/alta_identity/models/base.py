from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from sqlalchemy import DateTime, Enum
from sqlalchemy.orm import DeclarativeBase

from alta_common.db.base import new_metadata

SCHEMA = "identity"

Clock = Callable[[], datetime]
Timestamp = DateTime(timezone=True)


class Base(DeclarativeBase):
    """The base of identity's rows, all in schema `identity`."""

    metadata = new_metadata(SCHEMA)


def text_of(kind: type[StrEnum], length: int = 40) -> Enum:
    """Return a column type that stores the value of `kind` as text: a new member needs no change of the schema."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=False,
        length=length,
        values_callable=lambda members: [member.value for member in members],
    )
