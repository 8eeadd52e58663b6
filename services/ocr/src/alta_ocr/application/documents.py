"""Documents as ocr sees them: how they are read, and what is told of that."""

from collections.abc import Callable
from typing import Any, ClassVar

from opentelemetry import trace

from alta_common.contracts.engines import EngineKind
from alta_common.contracts.ocr import DocumentOcrCompleted, DocumentOcrFailed, DocumentOcrProgressed
from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.contracts.results import OcrResult
from alta_common.engines.checkpoints import Checkpoint
from alta_common.engines.kind import Kind
from alta_common.engines.operations import Operations
from alta_common.engines.port import EngineError, SourceFile
from alta_common.ids import derived_id
from alta_common.storage.object_storage import StoredObject
from alta_ocr import metrics
from alta_ocr.application.results import serialized
from alta_ocr.engines.engine import DocumentReading, OcrEngine, OcrOptions


class Documents(Kind[DocumentOcrRequested, OcrEngine, DocumentReading, OcrResult]):
    """Reads documents page by page; the result is an `OcrResult`."""

    name: ClassVar[EngineKind] = "document"
    service: ClassVar[str] = "ocr"
    jobs = metrics.jobs
    result = OcrResult

    def options(self, request: DocumentOcrRequested, checkpoint: Checkpoint, operations: Operations) -> OcrOptions:
        """Return what the request asks for."""
        return OcrOptions(language=request.language, checkpoint=checkpoint, operations=operations)

    async def read(
        self, engine: OcrEngine, source: SourceFile, options: OcrOptions, progress: Callable[[float, float], None]
    ) -> DocumentReading:
        """Return what the document says; progress is in pages."""
        reading = await engine.recognize(source, options, _before_the_end(progress))
        trace.get_current_span().set_attribute("alta.pages", len(reading.pages))
        return reading

    async def resume(
        self, engine: OcrEngine, options: OcrOptions, progress: Callable[[float, float], None]
    ) -> DocumentReading | None:
        """Return what others have read for the engine."""
        return await super().resume(engine, options, _before_the_end(progress))

    def serialized(self, request: DocumentOcrRequested, reading: DocumentReading) -> bytes:
        """Return the canonical JSON of the reading."""
        return serialized(request.document_id, reading)

    def progressed(self, request: DocumentOcrRequested, done: int, total: int) -> DocumentOcrProgressed:
        """Return the event of `done` pages."""
        return DocumentOcrProgressed(
            event_id=derived_id(request.event_id, f"{DocumentOcrProgressed.ROUTING_KEY}:{done}"),
            **_answering(request),
            done=done,
            total=total,
            unit="page",
        )

    def completed(
        self, request: DocumentOcrRequested, stored: StoredObject, reading: DocumentReading | OcrResult, seconds: float
    ) -> DocumentOcrCompleted:
        """Return the event of a result. A redelivered request gives the same id, so the receiver takes one of them."""
        return DocumentOcrCompleted(
            event_id=derived_id(request.event_id, DocumentOcrCompleted.ROUTING_KEY),
            **_answering(request),
            result_key=stored.key,
            result_sha256=stored.sha256,
            result_bytes=stored.size_bytes,
            engine_name=reading.engine.name,
            engine_version=reading.engine.version,
            engine_config_hash=reading.engine.config_hash,
            language=reading.language,
            pages=len(reading.pages),
            confidence=reading.confidence,
            warnings=reading.warnings,
            engine_seconds=round(seconds, 3),
        )

    def failed(self, request: DocumentOcrRequested, error: EngineError) -> DocumentOcrFailed:
        """Return the event of a failure."""
        return DocumentOcrFailed(
            event_id=derived_id(request.event_id, DocumentOcrFailed.ROUTING_KEY),
            **_answering(request),
            code=error.code,
            detail=error.detail,
            retryable=error.retryable,
        )


def _answering(request: DocumentOcrRequested) -> dict[str, Any]:
    return {
        "document_id": request.document_id,
        "project_id": request.project_id,
        "request_event_id": request.event_id,
        "attempt": request.attempt,
    }


def _before_the_end(progress: Callable[[float, float], None]) -> Callable[[float, float], None]:
    """Return what tells `progress` of all steps but the last: that all pages are done is for the answer to say."""

    def tell(done: float, total: float) -> None:
        if done != total:
            progress(done, total)

    return tell
