"""What is uploaded to be read: the rules that documents and voice samples share.

One table holds both, told apart by `kind`: the review queue, analytics and the sweep go through all of them in one
order. What differs (what is requested, what is counted) is in `document.py` and `voice_sample.py`.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Self
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from alta_common.clock import utc_now
from alta_common.contracts.event import Event
from alta_common.contracts.ocr import DocumentOcrCompleted, DocumentOcrFailed, DocumentOcrProgressed
from alta_common.contracts.transcription import (
    VoiceTranscriptionCompleted,
    VoiceTranscriptionFailed,
    VoiceTranscriptionProgressed,
)
from alta_common.errors import ConflictError
from alta_projects.models.base import Base, text_enum

Progressed = DocumentOcrProgressed | VoiceTranscriptionProgressed
Completed = DocumentOcrCompleted | VoiceTranscriptionCompleted
Failed = DocumentOcrFailed | VoiceTranscriptionFailed


class ItemStatus(StrEnum):
    """Where an item stands: `queued` → `processing` → one of the final three."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Say whether nothing more will happen by itself."""
        return self not in {ItemStatus.QUEUED, ItemStatus.PROCESSING}


class ResultNotReadyError(ConflictError):
    """There is no result yet."""

    code = "result_not_ready"


class ProcessingFailedError(ConflictError):
    """There is no result, and there will be none from this run."""

    code = "processing_failed"


class MediaItem(Base):
    """An uploaded file and what became of it."""

    __tablename__ = "media_item"

    NOUN: ClassVar[str]
    """What it is called in sentences: `document`."""
    FOLDER: ClassVar[str]
    """The first part of its object keys."""
    UNIT: ClassVar[str]
    """What progress counts."""

    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.project.id"))
    kind: Mapped[str] = mapped_column(Text)
    filename: Mapped[str] = mapped_column(Text)
    content_type: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(Text)
    object_key: Mapped[str] = mapped_column(Text)
    is_copy: Mapped[bool]
    attributes: Mapped[dict[str, Any]] = mapped_column("metadata")
    created_by: Mapped[UUID]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
    version: Mapped[int]

    status: Mapped[ItemStatus] = mapped_column(text_enum(ItemStatus))
    attempt: Mapped[int]
    requested_at: Mapped[datetime]
    progress_done: Mapped[int]
    progress_total: Mapped[int | None]
    engine: Mapped[str | None] = mapped_column(Text)
    engine_version: Mapped[str | None] = mapped_column(Text)
    language: Mapped[str | None] = mapped_column(Text)
    pages: Mapped[int | None]
    duration_ms: Mapped[int | None] = mapped_column(BigInteger)
    confidence: Mapped[float | None]
    warnings: Mapped[list[str]]
    needs_review: Mapped[bool]
    review_status: Mapped[str | None] = mapped_column(Text)
    error_code: Mapped[str | None] = mapped_column(Text)
    error_detail: Mapped[str | None] = mapped_column(Text)
    error_retryable: Mapped[bool | None]
    result_key: Mapped[str | None] = mapped_column(Text)
    result_sha256: Mapped[str | None] = mapped_column(Text)
    result_bytes: Mapped[int | None] = mapped_column(BigInteger)
    revision: Mapped[int]

    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_abstract": True}  # noqa: RUF012  SQLAlchemy's own form

    @classmethod
    def new_object_key(cls, project_id: UUID, item_id: UUID) -> str:
        """Return where the original of an item is stored."""
        return f"{cls.FOLDER}/{project_id}/{item_id}/original"

    @classmethod
    def queued(
        cls,
        item_id: UUID,
        project_id: UUID,
        *,
        filename: str,
        content_type: str,
        size_bytes: int,
        sha256: str,
        attributes: dict[str, Any],
        language: str | None,
        engine: str | None,
        is_copy: bool,
        created_by: UUID,
    ) -> Self:
        """Return an item whose file has just been stored and that waits to be read."""
        now = utc_now()
        return cls(
            id=item_id,
            project_id=project_id,
            filename=filename,
            content_type=content_type,
            size_bytes=size_bytes,
            sha256=sha256,
            object_key=cls.new_object_key(project_id, item_id),
            is_copy=is_copy,
            attributes=attributes,
            created_by=created_by,
            created_at=now,
            updated_at=now,
            requested_at=now,
            version=1,
            status=ItemStatus.QUEUED,
            attempt=1,
            progress_done=0,
            engine=engine,
            language=language,
            warnings=[],
            needs_review=False,
            revision=0,
        )

    def request(self) -> Event:
        """Return the event that asks the engines to read this item."""
        raise NotImplementedError

    def _take_extent(self, event: Completed) -> None:
        """Keep how much there was to read: pages, or time."""
        raise NotImplementedError

    def start(self, event: Progressed) -> bool:
        """Note that work has begun or gone further. Return whether that was news.

        Signs of life come late, twice and out of order: only a step forward of the present attempt counts.
        """
        if event.attempt != self.attempt or self.status.is_final:
            return False
        # How much there is may not be known at first; 0 says so.
        total = event.total or self.progress_total
        is_forward = event.done > self.progress_done or total != self.progress_total
        if self.status is ItemStatus.PROCESSING and not is_forward:
            return False
        self.status = ItemStatus.PROCESSING
        self.progress_done = max(self.progress_done, event.done)
        self.progress_total = total
        self._touch()
        return True

    def complete(self, event: Completed) -> bool:
        """Take in a result. Return whether it became the item's result.

        The first result of the present attempt counts. It may follow a failure of the same attempt: that is what
        happens when an operator replays a dead letter.
        """
        if event.attempt != self.attempt or self.status in {ItemStatus.COMPLETED, ItemStatus.CANCELLED}:
            return False
        self.status = ItemStatus.COMPLETED
        self.result_key = event.result_key
        self.result_sha256 = event.result_sha256
        self.result_bytes = event.result_bytes
        self.revision += 1
        self.engine = event.engine_name
        self.engine_version = event.engine_version
        self.language = event.language or self.language
        self.confidence = event.confidence
        self.warnings = [_storable(warning) for warning in event.warnings]
        self.error_code = self.error_detail = self.error_retryable = None
        self._take_extent(event)
        self._touch()
        self.completed_at = self.updated_at
        return True

    def fail(self, event: Failed) -> bool:
        """Take in that the item could not be read. Return whether that was news."""
        if event.attempt != self.attempt or self.status.is_final:
            return False
        self.status = ItemStatus.FAILED
        self.error_code = event.code
        self.error_detail = _storable(event.detail)
        self.error_retryable = event.retryable
        self._touch()
        return True

    def require_result(self) -> str:
        """Return the key of the result. Raises `ResultNotReadyError` or `ProcessingFailedError`."""
        if self.status is ItemStatus.FAILED:
            raise ProcessingFailedError(f"the {self.NOUN} could not be read ({self.error_code}): {self.error_detail}")
        if self.result_key is None or self.status is not ItemStatus.COMPLETED:
            raise ResultNotReadyError(f"the {self.NOUN} is {self.status.value}; there is no result yet")
        return self.result_key

    def object_keys(self) -> list[str]:
        """Return every object that belongs to the item."""
        return [key for key in (self.object_key, self.result_key) if key is not None]

    def _touch(self) -> None:
        self.updated_at = utc_now()
        self.version += 1


def _storable(words: str) -> str:
    """Return an engine's words without what PostgreSQL cannot keep: an event must not fail because of them."""
    return words.replace("\x00", "")
