"""Worker processes for originals: nothing but a kill stops some of them from being decoded for ever."""

import asyncio
from dataclasses import dataclass
from typing import Any

from alta_common.errors import UnavailableError
from alta_common.workers.pool import WorkerLimits, WorkerPool
from alta_common.workers.wire import Task

_RECYCLE_AFTER_JOBS = 200
_WARM_UP = Task("alta_projects.formats.page_image:warm_up")


@dataclass(frozen=True, slots=True)
class RenderLimits:
    """What rendering may use: processes, jobs that wait for one, and for each job time and memory."""

    workers: int
    waiting: int
    job_seconds: float
    memory_bytes: int


class Renderers:
    """A pool of renderers that starts with the first job, as most processes never get one."""

    def __init__(self, limits: RenderLimits) -> None:
        self._limits = limits
        self._pool: WorkerPool | None = None
        self._starting = asyncio.Lock()
        self._jobs = 0

    async def run(self, task: Task) -> Any:
        """Return the task's result, or raise its exception; raises what `WorkerPool.run` does.

        Raises `UnavailableError` at once when as many jobs wait as may.
        """
        if self._jobs >= self._limits.workers + self._limits.waiting:
            raise UnavailableError("too many pages are being drawn at the moment; please try again", 2)
        self._jobs += 1
        try:
            return await (await self._started()).run(task)
        finally:
            self._jobs -= 1

    async def close(self) -> None:
        """End all workers."""
        async with self._starting:
            if self._pool is not None:
                await self._pool.close()

    async def _started(self) -> WorkerPool:
        async with self._starting:
            if self._pool is None:
                seconds = self._limits.job_seconds
                limits = WorkerLimits(
                    job_seconds=seconds,
                    step_seconds=seconds,
                    memory_bytes=self._limits.memory_bytes,
                    recycle_after_units=_RECYCLE_AFTER_JOBS,
                )
                pool = WorkerPool("renderer", self._limits.workers, limits, warm_up=_WARM_UP)
                await pool.start()
                self._pool = pool
        return self._pool
