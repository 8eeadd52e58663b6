"""A document's reading as the canonical JSON of `alta_common.contracts.results.OcrResult`."""

from typing import Any
from uuid import UUID

import orjson

from alta_ocr.engines.engine import DocumentReading


def serialized(document_id: UUID, reading: DocumentReading) -> bytes:
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
