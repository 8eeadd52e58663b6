"""Reading a stored document and telling what came of it."""

import asyncio
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from alta_common.contracts.ocr import DocumentOcrCompleted, DocumentOcrFailed
from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.errors import NotFoundError
from alta_common.ids import derived_id
from alta_common.storage.object_storage import ObjectStorage
from alta_common.telemetry.context import span
from alta_ocr import metrics
from alta_ocr.application.progress import ProgressReporter, Publisher
from alta_ocr.application.results import ResultStore, StoredResult
from alta_ocr.engines.engine import DocumentReading, DocumentSource, EngineError, OcrEngine, OcrOptions

log = structlog.get_logger()


@dataclass(frozen=True)
class ExtractionRules:
    """Who reads what names nobody, and how long that may take."""

    default_engine: str
    job_seconds: float
    progress_every_seconds: float = 1.0


class ExtractionService:
    """Reads documents with the engine that the request or the deployment names."""

    def __init__(
        self,
        storage: ObjectStorage,
        engines: Mapping[str, OcrEngine],
        publisher: Publisher,
        rules: ExtractionRules,
    ) -> None:
        self._storage = storage
        self._results = ResultStore(storage)
        self._engines = engines
        self._publisher = publisher
        self._rules = rules

    async def extract(self, request: DocumentOcrRequested) -> None:
        """Read the document, store the result, publish what came of it; returns when the broker holds that.

        Twice is once: a result that an earlier delivery has stored is published again without reading again, and
        whatever is published for one request has the same id each time. Raises `UnavailableError` when storage,
        broker or engine are not there: the request is to come again later.
        """
        log.info("extraction.started", document_id=request.document_id, size_bytes=request.size_bytes)
        answer, outcome = await self._answer(request)
        await self._publisher.publish(answer)
        metrics.jobs.labels(outcome).inc()
        log.info("extraction.finished", document_id=request.document_id, outcome=outcome)

    async def give_up(self, request: DocumentOcrRequested, error: Exception) -> None:
        """Tell the owner that the document was not read, although nothing is wrong with it that we know of."""
        log.error("extraction.given_up", document_id=request.document_id, error=repr(error))
        detail = "The document could not be read because of a fault on our side. Please try again later."
        await self._publisher.publish(_failed(request, EngineError("engine_unavailable", detail, retryable=True)))
        metrics.jobs.labels("given_up").inc()

    async def _answer(self, request: DocumentOcrRequested) -> tuple[DocumentOcrCompleted | DocumentOcrFailed, str]:
        found = await self._results.find(request)
        if found is not None:
            return _completed(request, found, 0.0), "republished"
        try:
            reading, seconds = await self._read(request)
        except EngineError as error:
            return _failed(request, error), error.code
        with span("ocr.store", attributes={"alta.pages": len(reading.pages)}):
            stored = await self._results.store(request, reading)
        return _completed(request, stored, seconds), "completed"

    async def _read(self, request: DocumentOcrRequested) -> tuple[DocumentReading, float]:
        engine = self._engine(request)
        try:
            async with asyncio.timeout(self._rules.job_seconds):
                with tempfile.TemporaryDirectory(prefix="alta-ocr-") as folder:
                    source = await self._download(request, Path(folder) / "document")
                    return await self._recognize(engine, source, request)
        except TimeoutError as error:
            minutes = self._rules.job_seconds / 60
            detail = f"Reading the document took longer than the {minutes:g} minutes allowed."
            raise EngineError("timeout", detail) from error

    def _engine(self, request: DocumentOcrRequested) -> OcrEngine:
        name = request.engine or self._rules.default_engine
        engine = self._engines.get(name)
        if engine is None:
            raise EngineError("engine_unavailable", f"There is no engine called {name!r} here.")
        return engine

    async def _download(self, request: DocumentOcrRequested, path: Path) -> DocumentSource:
        with span("ocr.download", attributes={"alta.bytes": request.size_bytes}):
            try:
                await self._storage.download_to(request.object_key, path)
            except NotFoundError as error:
                raise EngineError("file_missing", "The stored file is not there any more.") from error
        return DocumentSource(path, request.content_type)

    async def _recognize(
        self, engine: OcrEngine, source: DocumentSource, request: DocumentOcrRequested
    ) -> tuple[DocumentReading, float]:
        progress = ProgressReporter(self._publisher, request, self._rules.progress_every_seconds)
        started = time.perf_counter()
        with span("ocr.engine") as present:
            try:
                reading = await engine.recognize(source, OcrOptions(language=request.language), progress)
            finally:
                await progress.close()
            seconds = time.perf_counter() - started
            present.set_attribute("alta.engine", reading.engine.name)
            present.set_attribute("alta.pages", len(reading.pages))
        return reading, seconds


def _completed(request: DocumentOcrRequested, result: StoredResult, seconds: float) -> DocumentOcrCompleted:
    # A redelivered request gives the same id, so the receiver takes only one of them.
    return DocumentOcrCompleted(
        event_id=derived_id(request.event_id, DocumentOcrCompleted.ROUTING_KEY),
        document_id=request.document_id,
        project_id=request.project_id,
        request_event_id=request.event_id,
        attempt=request.attempt,
        result_key=result.stored.key,
        result_sha256=result.stored.sha256,
        result_bytes=result.stored.size_bytes,
        engine_name=result.engine.name,
        engine_version=result.engine.version,
        engine_config_hash=result.engine.config_hash,
        language=result.language,
        pages=result.pages,
        confidence=result.confidence,
        warnings=result.warnings,
        engine_seconds=round(seconds, 3),
    )


def _failed(request: DocumentOcrRequested, error: EngineError) -> DocumentOcrFailed:
    return DocumentOcrFailed(
        event_id=derived_id(request.event_id, DocumentOcrFailed.ROUTING_KEY),
        document_id=request.document_id,
        project_id=request.project_id,
        request_event_id=request.event_id,
        attempt=request.attempt,
        code=error.code,
        detail=error.detail,
        retryable=error.retryable,
    )
