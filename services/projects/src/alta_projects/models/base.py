"""The base of all rows of this service."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Enum, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

from alta_common.db.base import new_metadata

SCHEMA = "projects"


class Base(DeclarativeBase):
    """A row of the schema `projects`."""

    metadata = new_metadata(SCHEMA)
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy reads it as a plain dict of the class
        datetime: DateTime(timezone=True),
        UUID: Uuid(),
        dict[str, Any]: JSONB(),
        list[str]: JSONB(),
    }


def text_enum(values: type[StrEnum]) -> Enum:
    """Return a column type that stores an enum's values as text, so that a new value needs no type change."""
    return Enum(
        values, native_enum=False, create_constraint=False, length=32, values_callable=lambda e: [m.value for m in e]
    )
