"""What happened to the items of a project, for those who watch it. Written by a trigger (migration 0003)."""

from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Text, inspect
from sqlalchemy.orm import Mapped, mapped_column

from alta_projects.models.base import Base
from alta_projects.models.document import Document
from alta_projects.models.media_item import MediaItem
from alta_projects.models.voice_sample import VoiceSample

_KINDS: dict[str, type[MediaItem]] = {kind.KIND: kind for kind in (Document, VoiceSample)}


class LiveHead(Base):
    """How many events a project has had."""

    __tablename__ = "live_head"

    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.project.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)


class LiveEvent(Base):
    """One change of an item: `document.completed` and the row as it was then.

    Numbers of a project have no gaps, and a number is seen only after all below it.
    """

    __tablename__ = "live_event"

    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.project.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    item: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(index=True)

    def snapshot(self) -> MediaItem:
        """Return the item as it was: an object of its own, that belongs to no session."""
        kind = _KINDS[self.item["kind"]]
        columns = {one.key: one.columns[0] for one in inspect(kind).column_attrs}
        values = {key: _value(one.type.python_type, self.item.get(one.name)) for key, one in columns.items()}
        return kind(**values)


def _value(kind: type[Any], stored: Any) -> Any:
    """Return a value of a column as it was before PostgreSQL's `to_jsonb` wrote it."""
    if stored is None:
        return None
    if issubclass(kind, datetime):
        return datetime.fromisoformat(stored)
    return kind(stored) if issubclass(kind, UUID | Enum) else stored
