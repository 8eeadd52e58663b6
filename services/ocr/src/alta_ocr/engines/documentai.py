"""Google Document AI: documents read in parts at once, or in a batch when they are long.

Every part that was read is kept, so that a request that comes again pays for the others only. Nothing falls back to
another engine here: that is a setting of its own, for quality and privacy differ.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from alta_common.engines.port import EngineError, InputError, SourceFile
from alta_common.telemetry.metrics import engine_seconds_per_unit, exemplar
from alta_ocr import metrics
from alta_ocr.engines.documentai_api import DocumentAiApi
from alta_ocr.engines.documentai_batch import BatchReader, Bucket
from alta_ocr.engines.documentai_config import NAME
from alta_ocr.engines.documentai_cutting import Cutter
from alta_ocr.engines.documentai_online import OnlineReader
from alta_ocr.engines.documentai_pages import ReadPages
from alta_ocr.engines.engine import DocumentReading, OcrOptions, Progress
from alta_ocr.engines.local import Workers
from alta_ocr.engines.plan import Whole

log = structlog.get_logger()

_HASH_CHARACTERS = 12
_LENGTH = "length"


class DocumentAiEngine:
    """Reads documents at Google. Without a bucket, long ones are read in parts as well.

    The workers of `pool` prepare the files. Close it.
    """

    def __init__(self, api: DocumentAiApi, pool: Workers, bucket: Bucket | None = None) -> None:
        self._api = api
        self._config = api.config
        self._pool = pool
        self._cutter = Cutter(pool, api.config)
        self._online = OnlineReader(api, self._cutter)
        self._batch = BatchReader(api, self._cutter, bucket) if bucket else None

    async def check(self) -> None:
        """Raise `UnavailableError` while no worker is warm, the connection is broken or Google refuses our calls.

        Asks Google nothing.
        """
        await self._pool.check()
        self._api.check()

    async def close(self) -> None:
        """Close the connection; what is still being read fails."""
        await self._api.close()

    async def abandon(self, options: OcrOptions) -> None:
        """End an operation at Google, and remove the temporary objects."""
        if self._batch is not None:
            await self._batch.abandon(options.operations)

    async def recognize(self, source: SourceFile, options: OcrOptions, progress: Progress) -> DocumentReading:
        """Return what `source` says; what was read before the last delivery was stopped is not asked for again."""
        whole = await self._cutter.inspect(source.path)
        job = _Job(whole.pages, options, progress, await self._kept(await options.checkpoint.load()))
        progress(job.done, job.pages)
        return self._reading(await self._read(whole, job), job)

    async def resume(self, options: OcrOptions, progress: Progress) -> DocumentReading | None:
        """Return what a batch reads that an earlier call has begun; None when there is none. The file is not needed."""
        if self._batch is None or not await self._batch.is_begun(options.operations):
            return None
        parts = await options.checkpoint.load()
        job = _Job(int(parts.get(_LENGTH, b"0")), options, progress, await self._kept(parts))
        if not job.pages:
            return None
        progress(job.done, job.pages)
        pages = job.read.get(job.numbers) or await self._batch.resume(job.pages, options.operations)
        return None if pages is None else self._reading(await self._taken(job, pages, self._batch), job)

    def _reading(self, read: ReadPages, job: "_Job") -> DocumentReading:
        if len(read.pages) != job.pages:
            detail = f"The engine read {len(read.pages)} of the document's {job.pages} pages."
            raise EngineError("engine_failed", detail, retryable=True)
        return DocumentReading(
            engine=self._config.info,
            language=_main_language(read) or job.options.language,
            pages=read.pages,
            warnings=[] if any(page.text for page in read.pages) else ["no_text"],
        )

    async def _read(self, whole: Whole, job: "_Job") -> ReadPages:
        if self._batch is None:
            return await self._read_in_parts(whole, job)
        if job.pages > self._config.batch_pages:
            return await self._read_in_batch(whole, job, self._batch)
        try:
            return await self._read_in_parts(whole, job)
        except InputError as error:
            if error.code != "file_too_large":
                raise
        # A single page has more bytes than may be sent along; Cloud Storage takes it.
        return await self._read_in_batch(whole, job, self._batch)

    async def _read_in_parts(self, whole: Whole, job: "_Job") -> ReadPages:
        # No document takes more places than these: the next one gets its turn between two parts.
        turns = asyncio.Semaphore(self._config.at_once)
        size = self._config.part_pages
        parts = [range(first, min(first + size, job.pages + 1)) for first in range(1, job.pages + 1, size)]

        async def read(numbers: range) -> None:
            async with turns:
                pages = await self._online.read(whole, numbers, job.options.language)
                await self._keep(job, numbers, pages, "online")

        try:
            async with asyncio.TaskGroup() as group:
                for numbers in parts:
                    if numbers not in job.read:
                        group.create_task(read(numbers))
        except ExceptionGroup as failures:
            raise _first_of(failures) from None
        return job.together(parts)

    async def _read_in_batch(self, whole: Whole, job: "_Job", batch: BatchReader) -> ReadPages:
        pages = job.read.get(job.numbers)
        if pages is None:
            # All that has to be known of the file by who waits for it.
            await job.options.checkpoint.save(_LENGTH, str(job.pages).encode())
            pages = await batch.read(whole, job.options.operations, job.options.language)
        return await self._taken(job, pages, batch)

    async def _taken(self, job: "_Job", pages: ReadPages, batch: BatchReader) -> ReadPages:
        if job.numbers not in job.read:
            # Kept first: what Google has written is removed then.
            await self._keep(job, job.numbers, pages, "batch")
        await batch.forget(job.options.operations)
        return pages

    async def _keep(self, job: "_Job", numbers: range, pages: ReadPages, way: str) -> None:
        metrics.google_pages.labels(way).inc(len(pages.pages))
        await job.options.checkpoint.save(self._part_name(numbers), await asyncio.to_thread(pages.dumped))
        for page in pages.pages:
            engine_seconds_per_unit.labels(NAME).observe(page.seconds, exemplar())
        metrics.pages.labels("ocr").inc(len(pages.pages))
        job.take(numbers, pages)

    async def _kept(self, checkpoint: Mapping[str, bytes]) -> dict[range, ReadPages]:
        kept: dict[range, ReadPages] = {}
        for name, content in checkpoint.items():
            # Made with other settings, the parts would be others.
            made, _, pages = name.partition("-")
            first, _, last = pages.partition("-")
            if made == self._settings and first.isdigit() and last.isdigit():
                try:
                    kept[range(int(first), int(last) + 1)] = await asyncio.to_thread(ReadPages.loaded, content)
                except ValueError as error:
                    log.warning("documentai.part_unusable", part=name, error=str(error)[:200])
        return kept

    def _part_name(self, numbers: range) -> str:
        return f"{self._settings}-{numbers[0]}-{numbers[-1]}"

    @property
    def _settings(self) -> str:
        return (self._config.info.config_hash or "")[:_HASH_CHARACTERS]


@dataclass
class _Job:
    """A document being read."""

    pages: int
    options: OcrOptions
    progress: Progress
    read: dict[range, ReadPages]

    @property
    def numbers(self) -> range:
        """Return the numbers of all its pages."""
        return range(1, self.pages + 1)

    @property
    def done(self) -> int:
        """Return how many pages are read."""
        # A document whose parts were read one by one may have turned out to need a batch, which reads all of it again.
        return len(set().union(*self.read))

    def take(self, numbers: range, pages: ReadPages) -> None:
        """Note that some pages have been read."""
        self.read[numbers] = pages
        self.progress(self.done, self.pages)

    def together(self, parts: list[range]) -> ReadPages:
        """Return the pages of all parts, in order."""
        whole = ReadPages()
        for numbers in parts:
            whole.add(self.read[numbers])
        return whole


def _first_of(failures: ExceptionGroup[Exception]) -> Exception:
    """Return the failure that says most: one of the file is final, whatever else has happened."""
    return next((error for error in failures.exceptions if isinstance(error, InputError)), failures.exceptions[0])


def _main_language(read: ReadPages) -> str | None:
    return read.languages.most_common(1)[0][0] if read.languages else None
