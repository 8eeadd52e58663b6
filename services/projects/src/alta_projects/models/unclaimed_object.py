"""Objects that no row points at: not yet, or no longer."""

from datetime import datetime

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from alta_projects.models.base import Base


class UnclaimedObject(Base):
    """A key in object storage that the sweep removes once `delete_after` has passed.

    An upload writes this row before it writes the object, and takes it away in the transaction that makes the object
    somebody's. So an object that a crash left behind is known by name, and the store need not be listed.
    """

    __tablename__ = "unclaimed_object"

    object_key: Mapped[str] = mapped_column(Text, primary_key=True)
    delete_after: Mapped[datetime]
