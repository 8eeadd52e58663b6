"""The engine that needs no cloud: the text layer of a page where it can be trusted, RapidOCR where not.

All of it runs in killable worker processes (`reader.py`); pages of one document are read by several of them at once,
documents take turns.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

import structlog

from alta_common.engines.port import EngineError, InputError, SourceFile
from alta_common.errors import UnavailableError
from alta_common.workers.errors import WorkerCrashedError, WorkerTimeoutError
from alta_common.workers.pool import ignore
from alta_common.workers.wire import Task
from alta_ocr.engines.engine import DocumentReading, OcrOptions, PageReading, Progress
from alta_ocr.engines.job import Job, JobOptions
from alta_ocr.engines.languages import can_be_read
from alta_ocr.engines.limits import DocumentLimits
from alta_ocr.engines.plan import Document, Plan
from alta_ocr.engines.turns import Share, Turns
from alta_ocr.engines.worker_errors import crashed_twice

log = structlog.get_logger()

_TURN_SECONDS = 8.0
"""How long a document is read before another one may have its turn."""


@dataclass(frozen=True)
class LocalConfig:
    """How documents are read here."""

    workers: int
    page_seconds: float
    """How long one page may take before its worker is killed."""
    limits: DocumentLimits
    backend: str = "auto"
    keep_every_seconds: float = 30.0
    """How often the pages that are read are kept: what a killed process costs."""


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


def _warnings_of(pages: Sequence[PageReading], language: str | None) -> list[str]:
    """Return what to tell about a document. Raises `InputError` when nothing of it could be read as it was asked for.

    A text layer is in any language; only what was looked at may be in letters that the engine does not know.
    """
    told = {page.source for page in pages if page.text}
    if not told:
        return ["no_text"]
    if language is None or "ocr" not in told or can_be_read(language):
        return []
    if told == {"ocr"}:
        raise InputError("unsupported_language", f"Our reader does not know the letters of the language {language!r}.")
    return ["low_confidence_or_unsupported_language"]


class LocalEngine:
    """Reads documents in the workers of a pool."""

    def __init__(self, pool: Workers, config: LocalConfig) -> None:
        self._pool = pool
        self._config = config
        self._turns = Turns(config.workers)

    async def check(self) -> None:
        """Raise `UnavailableError` when no worker is warm."""
        await self._pool.check()

    async def abandon(self, options: OcrOptions) -> None:
        """Do nothing: what was left has ended with its worker."""

    async def recognize(self, source: SourceFile, options: OcrOptions, progress: Progress) -> DocumentReading:
        """Return what `source` says. Raises `EngineError`; cancelling it kills the workers that are at it.

        Pages that an earlier call has kept in `options.checkpoint` are not read again.
        """
        document = Document(source.path, self._config.limits, self._config.backend)
        with self._turns.share() as share:
            async with self._turns.turn(share):
                plan = await self._inspect(document)
            kept = JobOptions(self._config.workers, options.checkpoint, self._config.keep_every_seconds)
            job = Job(document, plan, kept, progress)
            await job.resume()
            await self._read_all(job, share)
        pages = [job.pages[number] for number in range(1, plan.pages + 1)]
        return DocumentReading(
            engine=plan.ocr if any(page.source == "ocr" for page in pages) else plan.text_layer,
            language=options.language,
            pages=pages,
            warnings=_warnings_of(pages, options.language),
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

    async def _read_all(self, job: Job, share: Share) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._config.workers):
                    group.create_task(self._keep_reading(job, share))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _keep_reading(self, job: Job, share: Share) -> None:
        while True:
            async with self._turns.turn(share):
                numbers = job.claim()
                if not numbers:
                    return
                await self._read_range(job, numbers)
            await job.keep()

    async def _read_range(self, job: Job, numbers: range) -> None:
        crashed_at: int | None = None
        while numbers:
            task = Task(
                "alta_ocr.engines.reader:read_pages",
                {
                    "document": job.document,
                    "media_type": job.plan.media_type,
                    "numbers": numbers,
                    "turn_seconds": _TURN_SECONDS,
                },
            )
            try:
                await self._perform(task, numbers, job)
            except WorkerCrashedError as error:
                page = job.first_unread(numbers)
                if page == crashed_at:
                    raise crashed_twice(error, f"reading page {page}") from error
                crashed_at = page
                numbers = range(page, numbers.stop)
            else:
                job.give_back(range(job.first_unread(numbers), numbers.stop))
                return

    async def _perform(self, task: Task, numbers: range, job: Job | None = None) -> object:
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
