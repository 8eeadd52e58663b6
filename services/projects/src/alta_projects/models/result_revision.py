"""Every result that an item has had."""

from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from alta_projects.models.base import Base
from alta_projects.models.media_item import Completed, MediaItem


class ResultRevision(Base):
    """One result of an item: who made it, and where it lies. Written once; the item's own columns show the last."""

    __tablename__ = "result_revision"

    item_id: Mapped[UUID] = mapped_column(ForeignKey("projects.media_item.id", ondelete="CASCADE"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    attempt: Mapped[int]
    engine: Mapped[str] = mapped_column(Text)
    engine_version: Mapped[str] = mapped_column(Text)
    engine_config_hash: Mapped[str | None] = mapped_column(Text)
    language: Mapped[str | None] = mapped_column(Text)
    confidence: Mapped[float | None]
    pages: Mapped[int | None]
    duration_ms: Mapped[int | None] = mapped_column(BigInteger)
    warnings: Mapped[list[str]]
    result_key: Mapped[str] = mapped_column(Text)
    result_sha256: Mapped[str] = mapped_column(Text)
    result_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]

    @classmethod
    def of(cls, item: MediaItem, event: Completed) -> Self:
        """Return the revision that `event` has just become in `item`."""
        return cls(
            item_id=item.id,
            revision=item.revision,
            attempt=item.attempt,
            engine=event.engine_name,
            engine_version=event.engine_version,
            engine_config_hash=event.engine_config_hash,
            language=item.language,
            confidence=item.confidence,
            pages=item.pages,
            duration_ms=item.duration_ms,
            warnings=item.warnings,
            result_key=event.result_key,
            result_sha256=event.result_sha256,
            result_bytes=event.result_bytes,
            created_at=item.updated_at,
        )
