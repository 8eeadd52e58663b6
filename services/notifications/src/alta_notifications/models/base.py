"""What the service's rows share."""

from sqlalchemy.orm import DeclarativeBase

from alta_common.db.base import new_metadata

SCHEMA = "notifications"


class Base(DeclarativeBase):
    """The base of notifications' rows, all in schema `notifications`."""

    metadata = new_metadata(SCHEMA)
