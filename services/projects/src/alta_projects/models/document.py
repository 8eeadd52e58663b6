"""A document: pages to be read."""

from typing import ClassVar

from alta_common.contracts.engines import EngineKind
from alta_common.contracts.ocr import DocumentOcrCompleted
from alta_common.contracts.projects import CancelReason, DocumentOcrCancelled, DocumentOcrRequested
from alta_projects.models.media_item import Completed, MediaItem


class Document(MediaItem):
    """An uploaded PDF or image."""

    KIND: ClassVar[EngineKind] = "document"
    NOUN: ClassVar[str] = "document"
    FOLDER: ClassVar[str] = "documents"
    UNIT: ClassVar[str] = "page"

    __mapper_args__ = {"polymorphic_identity": "document"}  # noqa: RUF012  SQLAlchemy's own form

    def request(self) -> DocumentOcrRequested:
        """Return the event that asks for the document to be read."""
        return DocumentOcrRequested(
            document_id=self.id,
            project_id=self.project_id,
            attempt=self.attempt,
            object_key=self.object_key,
            content_type=self.content_type,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
            filename=self.filename,
            language=self.language,
            engine=self.engine,
            deadline_at=self.deadline_at,
        )

    def cancellation(self, reason: CancelReason) -> DocumentOcrCancelled:
        """Return the event that tells who reads the document to leave it."""
        return DocumentOcrCancelled(
            document_id=self.id, project_id=self.project_id, attempt=self.attempt, reason=reason
        )

    def _take_extent(self, event: Completed) -> None:
        if isinstance(event, DocumentOcrCompleted):
            self.pages = event.pages
            self.progress_done = self.progress_total = event.pages
