"""Parts of a document read by Document AI while one waits (ProcessDocument)."""

import asyncio
import time
from dataclasses import replace

from alta_common.engines.port import InputError
from alta_ocr.engines.documentai_api import DocumentAiApi
from alta_ocr.engines.documentai_config import MAX_BYTES
from alta_ocr.engines.documentai_cutting import Cutter, Part
from alta_ocr.engines.documentai_pages import ReadPages, pages_of
from alta_ocr.engines.plan import Whole

_SMALLER_HELPS = {"too_many_pages", "file_too_large"}


class OnlineReader:
    """Reads some pages of a document with one request, or with more where Google takes fewer of them at once."""

    def __init__(self, api: DocumentAiApi, cutter: Cutter) -> None:
        self._api = api
        self._cutter = cutter

    async def read(self, whole: Whole, numbers: range, language: str | None) -> ReadPages:
        """Return pages `numbers`. Raises `EngineError`, and `UnavailableError` when Google does not answer."""
        try:
            async with self._cutter.part(whole, numbers) as part:
                return await self._process(part, language)
        except InputError as error:
            if error.code in _SMALLER_HELPS and len(numbers) > 1:
                return await self._halved(whole, numbers, language)
            if error.code != "corrupt_file" or not whole.is_fit or len(numbers) < whole.pages:
                raise
        # We have opened it, so it can be written anew: Google gives up on files that other readers repair.
        return await self.read(replace(whole, is_fit=False), numbers, language)

    async def _halved(self, whole: Whole, numbers: range, language: str | None) -> ReadPages:
        # Scans may be heavy, and some processors take fewer pages than others.
        middle = len(numbers) // 2
        read = await self.read(whole, numbers[:middle], language)
        read.add(await self.read(whole, numbers[middle:], language))
        return read

    async def _process(self, part: Part, language: str | None) -> ReadPages:
        if part.size_bytes > MAX_BYTES:
            megabytes = MAX_BYTES // 1_000_000
            raise InputError("file_too_large", f"A page of the document has more than the {megabytes} MB allowed.")
        content = await asyncio.to_thread(part.path.read_bytes)
        started = time.perf_counter()
        document = await self._api.process(content, part.media_type, language)
        seconds = time.perf_counter() - started
        return await asyncio.to_thread(pages_of, document, part.numbers[0], seconds)
