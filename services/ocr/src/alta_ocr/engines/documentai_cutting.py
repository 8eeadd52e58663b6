"""Having the worker processes look at a document and cut parts out of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import structlog

from alta_common.engines.port import EngineError
from alta_common.errors import UnavailableError
from alta_common.workers.errors import WorkerCrashedError, WorkerTimeoutError
from alta_common.workers.wire import Task
from alta_ocr.engines.documentai_config import MAX_BYTES, MAX_PIXELS, DocumentAiConfig
from alta_ocr.engines.local import Workers
from alta_ocr.engines.plan import Document, Whole
from alta_ocr.engines.worker_errors import crashed_twice

log = structlog.get_logger()

_MODULE = "alta_ocr.engines.documentai_parts"


@dataclass(frozen=True)
class Part:
    """A file that holds some pages of a document, and is fit to be sent."""

    path: Path
    media_type: str
    numbers: range
    size_bytes: int


class Cutter:
    """Prepares documents in the workers of a pool. Each method raises `EngineError`; cancelling it kills the worker."""

    def __init__(self, pool: Workers, config: DocumentAiConfig) -> None:
        self._pool = pool
        self._config = config

    async def inspect(self, path: Path) -> Whole:
        """Return what the document is, after the checks that the local engine has for every document."""
        limits = self._config.limits
        # A deployment may read larger pictures itself.
        limits = replace(limits, max_pixels=min(limits.max_pixels, MAX_PIXELS))
        document = Document(path, limits, "auto")
        return cast("Whole", await self._run("inspect", "opening it", 1, document=document))

    @asynccontextmanager
    async def part(self, whole: Whole, numbers: range, max_bytes: int = MAX_BYTES) -> AsyncIterator[Part]:
        """Hold a part of the document, whose file is gone afterwards. Heavy pages may make it exceed `max_bytes`."""
        path = whole.document.path
        size = await _size(path)
        if whole.is_fit and len(numbers) == whole.pages and size <= max_bytes:
            yield Part(path, whole.media_type, numbers, size)
            return
        target = path.with_name(f"{path.name}.part-{numbers[0]}-{numbers[-1]}")
        try:
            media_type = await self._run(
                "cut",
                f"copying pages {numbers[0]} to {numbers[-1]}",
                len(numbers),
                document=whole.document,
                media_type=whole.media_type,
                first=numbers[0],
                last=numbers[-1],
                target=target,
                max_bytes=max_bytes,
            )
            yield Part(target, media_type, numbers, await _size(target))
        finally:
            await asyncio.shield(asyncio.to_thread(target.unlink, missing_ok=True))

    async def _run(self, function: str, doing: str, pages: int, **arguments: Any) -> Any:
        task = Task(f"{_MODULE}:{function}", arguments)
        seconds = self._config.page_seconds * pages
        with suppress(WorkerCrashedError):
            return await self._attempt(task, seconds)
        # Once may be bad luck (memory was short, somebody killed it); twice is the document.
        try:
            return await self._attempt(task, seconds)
        except WorkerCrashedError as error:
            raise crashed_twice(error, doing) from error

    async def _attempt(self, task: Task, seconds: float) -> Any:
        try:
            return await self._pool.run(task, seconds=seconds, step_seconds=seconds)
        except WorkerTimeoutError as error:
            detail = f"Preparing the document takes longer than the {seconds:g} s allowed."
            raise EngineError("timeout", detail) from error
        except (EngineError, UnavailableError):
            raise
        except Exception as error:
            # A fault of ours that this document brings out: it would do so again.
            log.exception("engine.failed", function=task.function)
            raise EngineError("engine_failed", "Our reader failed on this document.") from error


async def _size(path: Path) -> int:
    return (await asyncio.to_thread(path.stat)).st_size
