"""The engine that needs no cloud: the text layer of a page where it can be trusted, RapidOCR where not.

All of it runs in killable worker processes (`reader.py`); pages of one document are read by several of them at once.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

import structlog

from alta_common.engines.port import EngineError, SourceFile
from alta_common.errors import UnavailableError
from alta_common.telemetry.metrics import engine_seconds_per_unit, exemplar
from alta_common.workers.errors import WorkerCrashedError, WorkerTimeoutError
from alta_common.workers.pool import ignore
from alta_common.workers.wire import Task
from alta_ocr import metrics
from alta_ocr.engines.engine import DocumentReading, OcrOptions, PageReading, Progress
from alta_ocr.engines.limits import DocumentLimits
from alta_ocr.engines.plan import Document, Plan
from alta_ocr.engines.worker_errors import crashed_twice

log = structlog.get_logger()

# About ten seconds of reading: what a page of another document waits for its turn.
_LONGEST_RANGE = 4
_RANGES_A_WORKER = 4


@dataclass(frozen=True)
class LocalConfig:
    """How documents are read here."""

    workers: int
    page_seconds: float
    """How long one page may take before its worker is killed."""
    limits: DocumentLimits
    backend: str = "auto"


def warm_up_task(backend: str) -> Task:
    """Return what a worker does before it takes its first page."""
    return Task("alta_ocr.engines.reader:warm_up", {"backend": backend})


class Workers(Protocol):
    """Runs tasks in processes that can be killed: `alta_common.workers.pool.WorkerPool`."""

    async def run(
        self,
        task: Task,
        *,
        on_progress: Callable[[Any], None] = ignore,
        seconds: float | None = None,
        step_seconds: float | None = None,
    ) -> Any:
        """Return the task's result. Raises its exception, `WorkerTimeoutError` or `WorkerCrashedError`."""
        ...

    async def check(self) -> None:
        """Raise `UnavailableError` when there is no worker."""
        ...


class LocalEngine:
    """Reads documents in the workers of a pool."""

    def __init__(self, pool: Workers, config: LocalConfig) -> None:
        self._pool = pool
        self._config = config

    async def check(self) -> None:
        """Raise `UnavailableError` when no worker is warm."""
        await self._pool.check()

    async def abandon(self, options: OcrOptions) -> None:
        """Do nothing: what was left has ended with its worker."""

    async def recognize(self, source: SourceFile, options: OcrOptions, progress: Progress) -> DocumentReading:
        """Return what `source` says. Raises `EngineError`; cancelling it kills the workers that are at it."""
        document = Document(source.path, self._config.limits, self._config.backend)
        plan = await self._inspect(document)
        job = _Job(document, plan, progress)
        progress(0, plan.pages)
        await self._read_all(job)
        pages = [job.pages[number] for number in range(1, plan.pages + 1)]
        return DocumentReading(
            engine=plan.ocr if any(page.source == "ocr" for page in pages) else plan.text_layer,
            language=options.language,
            pages=pages,
            warnings=[] if any(page.text for page in pages) else ["no_text"],
        )

    async def _inspect(self, document: Document) -> Plan:
        task = Task("alta_ocr.engines.reader:inspect", {"document": document})
        with suppress(WorkerCrashedError):
            return cast("Plan", await self._perform(task, range(1, 2)))
        # Once may be bad luck (memory was short, somebody killed it); twice is the document.
        try:
            return cast("Plan", await self._perform(task, range(1, 2)))
        except WorkerCrashedError as error:
            raise crashed_twice(error, "opening it") from error

    async def _read_all(self, job: "_Job") -> None:
        # No document waits for more workers than there are: the next one gets its turn between two ranges.
        turns = asyncio.Semaphore(self._config.workers)
        size = min(_LONGEST_RANGE, -(-job.plan.pages // (self._config.workers * _RANGES_A_WORKER)))

        async def read(numbers: range) -> None:
            async with turns:
                await self._read_range(job, numbers)

        try:
            async with asyncio.TaskGroup() as group:
                for first in range(1, job.plan.pages + 1, size):
                    group.create_task(read(range(first, min(first + size, job.plan.pages + 1))))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _read_range(self, job: "_Job", numbers: range) -> None:
        crashed_at: int | None = None
        while numbers:
            task = Task(
                "alta_ocr.engines.reader:read_pages",
                {
                    "document": job.document,
                    "media_type": job.plan.media_type,
                    "first": numbers[0],
                    "last": numbers[-1],
                },
            )
            try:
                await self._perform(task, numbers, job)
            except WorkerCrashedError as error:
                page = job.first_unread(numbers)
                if page == crashed_at:
                    raise crashed_twice(error, f"reading page {page}") from error
                crashed_at = page
            numbers = range(job.first_unread(numbers), numbers.stop)

    async def _perform(self, task: Task, numbers: range, job: "_Job | None" = None) -> object:
        seconds = self._config.page_seconds
        try:
            return await self._pool.run(
                task,
                on_progress=job.take if job else ignore,
                seconds=seconds * (len(numbers) + 1),
                step_seconds=seconds,
            )
        except WorkerTimeoutError as error:
            page = job.first_unread(numbers) if job else numbers[0]
            raise EngineError("timeout", f"Page {page} takes longer to read than the {seconds:g} s allowed.") from error
        except (EngineError, UnavailableError):
            raise
        except Exception as error:
            # A fault of ours that this document brings out: it would do so again.
            log.exception("engine.failed", function=task.function, pages=[numbers.start, numbers.stop - 1])
            raise EngineError("engine_failed", "Our reader failed on this document.") from error


class _Job:
    """A document being read."""

    def __init__(self, document: Document, plan: Plan, progress: Progress) -> None:
        self.document = document
        self.plan = plan
        self.pages: dict[int, PageReading] = {}
        self._progress = progress

    def take(self, page: PageReading) -> None:
        """Keep a page that a worker has just read."""
        self.pages[page.number] = page
        engine = self.plan.ocr if page.source == "ocr" else self.plan.text_layer
        engine_seconds_per_unit.labels(engine.name).observe(page.seconds, exemplar())
        metrics.pages.labels(page.source).inc()
        self._progress(len(self.pages), self.plan.pages)

    def first_unread(self, numbers: range) -> int:
        """Return the first of `numbers` that is still to be read, or the end of the range."""
        return next((number for number in numbers if number not in self.pages), numbers.stop)
