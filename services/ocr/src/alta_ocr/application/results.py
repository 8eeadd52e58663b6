"""The canonical result of a request in object storage: written once, found again when the request comes twice."""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import structlog

from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.contracts.results import EngineInfo, OcrResult
from alta_common.errors import NotFoundError
from alta_common.storage.object_storage import ObjectStorage, StoredObject
from alta_ocr.engines.engine import DocumentReading

log = structlog.get_logger()


@dataclass(frozen=True)
class StoredResult:
    """A result in object storage, and what its event says about it."""

    stored: StoredObject
    engine: EngineInfo
    language: str | None
    pages: int
    confidence: float | None
    warnings: list[str]


def result_key(request: DocumentOcrRequested) -> str:
    """Return where the result of a request lies: another request for the same document has another place."""
    return f"results/{request.document_id}/{request.event_id}.json"


class ResultStore:
    """Keeps results as the JSON of `alta_common.contracts.results.OcrResult`."""

    def __init__(self, storage: ObjectStorage) -> None:
        self._storage = storage

    async def find(self, request: DocumentOcrRequested) -> StoredResult | None:
        """Return the whole result that an earlier delivery of `request` has stored, or None."""
        key = result_key(request)
        try:
            content = await self._storage.read(key)
        except NotFoundError:
            return None
        return await asyncio.to_thread(_parsed, key, content)

    async def store(self, request: DocumentOcrRequested, reading: DocumentReading) -> StoredResult:
        """Store a document's reading as the result of `request`."""
        content = await asyncio.to_thread(_serialized, request.document_id, reading)
        stored = await self._storage.put_bytes(result_key(request), content, "application/json")
        return StoredResult(
            stored, reading.engine, reading.language, len(reading.pages), reading.confidence, reading.warnings
        )


def _serialized(document_id: UUID, reading: DocumentReading) -> bytes:
    """Return the canonical JSON. Pages come as JSON from the workers and stay so: a book has millions of words."""
    result: dict[str, Any] = {
        "document_id": document_id,
        "revision": 1,
        "engine": reading.engine.model_dump(),
        "language": reading.language,
        "text": reading.text,
        "pages": [orjson.Fragment(page.content) for page in reading.pages],
        "warnings": reading.warnings,
    }
    return orjson.dumps(result)


def _parsed(key: str, content: bytes) -> StoredResult | None:
    try:
        result = OcrResult.model_validate_json(content)
    except ValueError as error:
        log.warning("result.unusable", key=key, error=str(error)[:200])
        return None
    scores = [
        word.confidence
        for page in result.pages
        for line in page.lines
        for word in line.words
        if word.confidence is not None
    ]
    return StoredResult(
        stored=StoredObject(key, len(content), hashlib.sha256(content).hexdigest()),
        engine=result.engine,
        language=result.language,
        pages=len(result.pages),
        confidence=sum(scores) / len(scores) if scores else None,
        warnings=result.warnings,
    )
