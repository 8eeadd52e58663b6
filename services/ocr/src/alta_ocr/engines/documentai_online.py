"""Parts of a document read by Document AI while one waits (ProcessDocument)."""

import asyncio
import time
from typing import Any

from google.cloud import documentai_v1 as documentai
from google.protobuf.field_mask_pb2 import FieldMask

from alta_common.engines.google.calls import GoogleCalls
from alta_common.engines.port import InputError
from alta_ocr.engines.documentai_config import FIELDS, MAX_BYTES, DocumentAiConfig
from alta_ocr.engines.documentai_cutting import Cutter, Part
from alta_ocr.engines.documentai_pages import ReadPages, pages_of
from alta_ocr.engines.plan import Whole

_SMALLER_HELPS = {"too_many_pages", "file_too_large"}


class OnlineReader:
    """Reads some pages of a document with one request, or with more where Google takes fewer of them at once."""

    def __init__(self, client: Any, calls: GoogleCalls, cutter: Cutter, config: DocumentAiConfig) -> None:
        self._client = client
        self._calls = calls
        self._cutter = cutter
        self._config = config

    async def read(self, whole: Whole, numbers: range, language: str | None) -> ReadPages:
        """Return pages `numbers`. Raises `EngineError`, and `UnavailableError` when Google does not answer."""
        try:
            async with self._cutter.part(whole, numbers) as part:
                return await self._process(part, language)
        except InputError as error:
            if error.code not in _SMALLER_HELPS or len(numbers) == 1:
                raise
        # Scans may be heavy, and some processors take fewer pages than others.
        middle = len(numbers) // 2
        read = await self.read(whole, numbers[:middle], language)
        read.add(await self.read(whole, numbers[middle:], language))
        return read

    async def _process(self, part: Part, language: str | None) -> ReadPages:
        if part.size_bytes > MAX_BYTES:
            megabytes = MAX_BYTES // 1_000_000
            raise InputError("file_too_large", f"A page of the document has more than the {megabytes} MB allowed.")
        request = documentai.ProcessRequest(
            name=self._config.processor,
            raw_document=documentai.RawDocument(
                content=await asyncio.to_thread(part.path.read_bytes), mime_type=part.media_type
            ),
            field_mask=FieldMask(paths=FIELDS),
            process_options=options_of(self._config, language),
            imageless_mode=self._config.imageless,
            skip_human_review=True,
        )
        started = time.perf_counter()
        answer = await self._calls.call(self._client.process_document, request)
        seconds = time.perf_counter() - started
        return await asyncio.to_thread(
            pages_of, documentai.ProcessResponse.pb(answer).document, part.numbers[0], seconds
        )


def options_of(config: DocumentAiConfig, language: str | None) -> documentai.ProcessOptions:
    """Return how the processor is to read: the language is a hint, which Google weighs against what it sees."""
    hints = documentai.OcrConfig.Hints(language_hints=[language] if language else [])
    ocr = documentai.OcrConfig(enable_native_pdf_parsing=config.native_pdf, hints=hints)
    return documentai.ProcessOptions(ocr_config=ocr)
