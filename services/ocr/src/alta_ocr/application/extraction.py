"""Reading a stored document and telling what came of it."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from alta_common.contracts.ocr import DocumentOcrCompleted, DocumentOcrFailed, DocumentOcrProgressed
from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.contracts.results import OcrResult
from alta_common.engines.port import EngineError, SourceFile
from alta_common.engines.progress import ProgressReporter, Publisher
from alta_common.engines.requests import downloaded, engine_for
from alta_common.engines.results import ResultStore
from alta_common.ids import derived_id
from alta_common.storage.object_storage import ObjectStorage, StoredObject
from alta_common.telemetry.context import span
from alta_ocr import metrics
from alta_ocr.application.results import serialized
from alta_ocr.engines.engine import DocumentReading, OcrEngine, OcrOptions

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
        self._results = ResultStore(storage, OcrResult)
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
            # In a thread: a book has millions of words to take the mean of.
            return await asyncio.to_thread(_completed, request, *found, 0.0), "republished"
        try:
            reading, seconds = await self._read(request)
        except EngineError as error:
            return _failed(request, error), error.code
        with span("ocr.store", attributes={"alta.pages": len(reading.pages)}):
            content = await asyncio.to_thread(serialized, request.document_id, reading)
            stored = await self._results.store(request, content)
        return _completed(request, stored, reading, seconds), "completed"

    async def _read(self, request: DocumentOcrRequested) -> tuple[DocumentReading, float]:
        engine = engine_for(request, self._engines, self._rules.default_engine)
        try:
            async with asyncio.timeout(self._rules.job_seconds), downloaded(request, self._storage, "ocr") as source:
                return await self._recognize(engine, source, request)
        except TimeoutError as error:
            minutes = self._rules.job_seconds / 60
            detail = f"Reading the document took longer than the {minutes:g} minutes allowed."
            raise EngineError("timeout", detail) from error

    async def _recognize(
        self, engine: OcrEngine, source: SourceFile, request: DocumentOcrRequested
    ) -> tuple[DocumentReading, float]:
        progress = ProgressReporter(self._publisher, partial(_progressed, request), self._rules.progress_every_seconds)

        def tell(done: int, total: int) -> None:
            # That all pages are done is for the answer to say.
            if done != total:
                progress(done, total)

        started = time.perf_counter()
        with span("ocr.engine") as present:
            try:
                reading = await engine.recognize(source, OcrOptions(language=request.language), tell)
            finally:
                await progress.close()
            seconds = time.perf_counter() - started
            present.set_attribute("alta.engine", reading.engine.name)
            present.set_attribute("alta.pages", len(reading.pages))
        return reading, seconds


def _progressed(request: DocumentOcrRequested, done: int, total: int) -> DocumentOcrProgressed:
    return DocumentOcrProgressed(
        event_id=derived_id(request.event_id, f"{DocumentOcrProgressed.ROUTING_KEY}:{done}"),
        document_id=request.document_id,
        project_id=request.project_id,
        request_event_id=request.event_id,
        attempt=request.attempt,
        done=done,
        total=total,
        unit="page",
    )


def _completed(
    request: DocumentOcrRequested, stored: StoredObject, reading: DocumentReading | OcrResult, seconds: float
) -> DocumentOcrCompleted:
    # A redelivered request gives the same id, so the receiver takes only one of them.
    return DocumentOcrCompleted(
        event_id=derived_id(request.event_id, DocumentOcrCompleted.ROUTING_KEY),
        document_id=request.document_id,
        project_id=request.project_id,
        request_event_id=request.event_id,
        attempt=request.attempt,
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
