"""Who reads documents behind the emulated Document AI."""

import tempfile
from pathlib import Path

import grpc
from google.cloud import documentai_v1 as documentai

from alta_common.contracts.results import Page
from alta_common.engines.port import EngineError, InputError, SourceFile
from alta_emulators.faults import RefusedError
from alta_emulators.shapes import document_of
from alta_ocr.engines.engine import OcrEngine, OcrOptions


class LocalDocuments:
    """Reads with the local engine, so that a laptop gets real answers in Google's shape."""

    def __init__(self, engine: OcrEngine) -> None:
        self._engine = engine

    async def read(self, content: bytes, media_type: str) -> documentai.Document:
        """Return what the local engine reads."""
        with tempfile.NamedTemporaryFile(prefix="alta-emulator-") as file:
            file.write(content)
            file.flush()
            source = SourceFile(Path(file.name), media_type)
            try:
                reading = await self._engine.recognize(source, OcrOptions(), lambda _done, _total: None)
            except InputError as error:
                raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, error.detail) from error
            except EngineError as error:
                raise RefusedError(grpc.StatusCode.INTERNAL, error.detail) from error
        pages = [Page.model_validate_json(page.content) for page in reading.pages]
        return document_of(pages, reading.language)
