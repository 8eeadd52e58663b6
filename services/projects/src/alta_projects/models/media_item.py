"""What is uploaded to be read: the rules that documents and voice samples share.

One table holds both, told apart by `kind`: the review queue, analytics and the sweep go through all in one order. What
differs (what is requested, what is counted) is in `document.py` and `voice_sample.py`.
"""

from abc import abstractmethod
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Self
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from alta_common.clock import utc_now
from alta_common.contracts.engines import EngineKind
from alta_common.contracts.event import Event
from alta_common.contracts.ocr import DocumentOcrCompleted, DocumentOcrFailed, DocumentOcrProgressed
from alta_common.contracts.projects import CancelReason, Channels
from alta_common.contracts.transcription import (
    VoiceTranscriptionCompleted,
    VoiceTranscriptionFailed,
    VoiceTranscriptionProgressed,
)
from alta_projects.models.base import Base, text_enum
from alta_projects.models.item_errors import (
    AlreadyFinishedError,
    ProcessingCancelledError,
    ProcessingFailedError,
    ResultNotReadyError,
    StillProcessingError,
)
from alta_projects.models.original import Original
from alta_projects.models.reading import Reading, Wishes

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


class MediaItem(Base):
    """An uploaded file and what became of it.

    `attempt` counts the runs, `revision` the results. While an item is read again, and when that fails, its last result
    stays: `result_key` points at it, and all there were are in `result_revision`. The other columns are of the present
    run: `engine`, `language` and `channels` (of recordings) are what it was asked for, and once it has ended well, the
    first two are what it was read by and in.
    """

    __tablename__ = "media_item"

    KIND: ClassVar[EngineKind]
    """Its name in events and audit rows."""
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
    deadline_at: Mapped[datetime | None]
    asked_engine: Mapped[str | None] = mapped_column(Text)
    asked_language: Mapped[str | None] = mapped_column(Text)
    asked_channels: Mapped[Channels | None] = mapped_column(Text)
    progress_done: Mapped[int]
    progress_total: Mapped[int | None]
    engine: Mapped[str | None] = mapped_column(Text)
    engine_version: Mapped[str | None] = mapped_column(Text)
    language: Mapped[str | None] = mapped_column(Text)
    channels: Mapped[Channels | None] = mapped_column(Text)
    pages: Mapped[int | None]
    duration_ms: Mapped[int | None] = mapped_column(BigInteger)
    confidence: Mapped[float | None]
    warnings: Mapped[list[str]]
    needs_review: Mapped[bool]
    review_status: Mapped[str | None] = mapped_column(Text)
    error_code: Mapped[str | None] = mapped_column(Text)
    error_detail: Mapped[str | None] = mapped_column(Text)
    error_retryable: Mapped[bool | None]
    untold_failure_at: Mapped[datetime | None]  # When it failed, as long as nobody has been told.
    result_key: Mapped[str | None] = mapped_column(Text)
    result_sha256: Mapped[str | None] = mapped_column(Text)
    result_bytes: Mapped[int | None] = mapped_column(BigInteger)
    revision: Mapped[int]

    # Abstract to mypy and to SQLAlchemy, which loads documents and voice samples only: its metaclass is not `ABCMeta`.
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
        original: Original,
        wishes: Wishes,
        reading: Reading,
        *,
        is_copy: bool,
        created_by: UUID,
    ) -> Self:
        """Return an item whose file has just been stored and that waits to be read.

        `wishes` is what its owner said, `reading` what that came to.
        """
        now = utc_now()
        return cls(
            id=item_id,
            project_id=project_id,
            filename=original.filename,
            content_type=original.content_type,
            size_bytes=original.size_bytes,
            sha256=original.sha256,
            attributes=original.attributes,
            object_key=cls.new_object_key(project_id, item_id),
            is_copy=is_copy,
            created_by=created_by,
            created_at=now,
            updated_at=now,
            requested_at=now,
            deadline_at=reading.deadline_at,
            asked_engine=wishes.engine,
            asked_language=wishes.language,
            asked_channels=wishes.channels,
            version=1,
            status=ItemStatus.QUEUED,
            attempt=1,
            progress_done=0,
            engine=reading.engine,
            language=reading.language,
            channels=reading.channels,
            warnings=[],
            needs_review=False,
            revision=0,
        )

    @property
    def wishes(self) -> Wishes:
        """Return what the item's owner said about reading it."""
        return Wishes(self.asked_engine, self.asked_language, self.asked_channels)

    @abstractmethod
    def request(self) -> Event:
        """Return the event that asks the engines to read this item."""

    @abstractmethod
    def cancellation(self, reason: CancelReason) -> Event:
        """Return the event that tells the engines to leave the present run."""

    @abstractmethod
    def _take_extent(self, event: Completed) -> None:
        """Keep how much there was to read: pages, or time."""

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
        self._forget_error()
        self._take_extent(event)
        self._touch()
        self.completed_at = self.updated_at
        return True

    def fail(self, event: Failed) -> bool:
        """Take in that the item could not be read. Return whether that was news."""
        if event.attempt != self.attempt or self.status.is_final:
            return False
        self._fail(event.code, _storable(event.detail), retryable=event.retryable)
        return True

    def cancel(self) -> bool:
        """Let the present run go. Return whether that was news. Raises `AlreadyFinishedError` when it has ended."""
        if self.status is ItemStatus.CANCELLED:
            return False
        if self.status.is_final:
            raise AlreadyFinishedError(f"the {self.NOUN} is {self.status.value}; there is nothing left to cancel")
        self.status = ItemStatus.CANCELLED
        self._touch()
        return True

    def read_again(self, wishes: Wishes, reading: Reading) -> None:
        """Begin another run. The last result stays until there is a newer one. Raises `StillProcessingError`."""
        if not self.status.is_final:
            raise StillProcessingError(f"the {self.NOUN} is {self.status.value}; cancel that before you begin again")
        self.status = ItemStatus.QUEUED
        self.attempt += 1
        self.asked_engine, self.asked_language, self.asked_channels = wishes.engine, wishes.language, wishes.channels
        self.engine, self.language, self.channels = reading.engine, reading.language, reading.channels
        self.deadline_at = reading.deadline_at
        self.engine_version = self.confidence = self.progress_total = self.completed_at = None
        self.progress_done, self.warnings = 0, []
        self._forget_error()
        self._touch()
        self.requested_at = self.updated_at

    def run_out_of_time(self) -> None:
        """Note that no engine has answered in time."""
        self._fail("timeout", "It was not read in the time that there was for it.", retryable=True)

    def require_result(self) -> str:
        """Return the key of the last result.

        Raises `ResultNotReadyError`, `ProcessingFailedError` or `ProcessingCancelledError` when there never was one.
        """
        if self.result_key is not None:
            return self.result_key
        if self.status is ItemStatus.FAILED:
            raise ProcessingFailedError(f"the {self.NOUN} could not be read ({self.error_code}): {self.error_detail}")
        if self.status is ItemStatus.CANCELLED:
            raise ProcessingCancelledError(f"reading the {self.NOUN} was cancelled; there is no result")
        raise ResultNotReadyError(f"the {self.NOUN} is {self.status.value}; there is no result yet")

    def _fail(self, code: str, detail: str, *, retryable: bool) -> None:
        self.status = ItemStatus.FAILED
        self.error_code, self.error_detail, self.error_retryable = code, detail, retryable
        self._touch()
        self.untold_failure_at = self.updated_at

    def _forget_error(self) -> None:
        self.error_code = self.error_detail = self.error_retryable = self.untold_failure_at = None

    def _touch(self) -> None:
        self.updated_at = utc_now()
        self.version += 1


def _storable(words: str) -> str:
    """Return an engine's words without what PostgreSQL cannot keep: an event must not fail because of them."""
    return words.replace("\x00", "")
