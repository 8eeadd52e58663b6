"""A pool of killable worker processes, for work that nothing but a kill can stop: decoding, rendering, engines.

One job runs in one process at a time. A job that crashes, hangs or is cancelled costs its own process only, which is
replaced in the background; the event loop stays free throughout.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from alta_common.errors import UnavailableError
from alta_common.workers.errors import (
    WorkerCrashedError,
    WorkerMemoryError,
    WorkerStartError,
    WorkerTimeoutError,
)
from alta_common.workers.process import WorkerProcess, start_worker
from alta_common.workers.wire import Task

log = structlog.get_logger()

_LONGEST_PAUSE_SECONDS = 30.0


def ignore(_: object) -> None:
    """Do nothing with a value."""


@dataclass(frozen=True)
class WorkerLimits:
    """What a job and a worker may use."""

    job_seconds: float
    step_seconds: float
    """How long a job may show no progress."""
    start_seconds: float = 120.0
    """How long starting and warming up may take."""
    memory_bytes: int = 0
    """Address space of a worker; 0: without a limit."""
    recycle_after_units: int = 0
    """Work after which a worker is replaced, in what its jobs count; 0: never."""


class WorkerPool:
    """`size` processes, each warmed up by `warm_up` before it gets its first job.

    `on_restart` hears why a worker was replaced: crashed, out_of_memory, timeout, cancelled, recycled.
    """

    def __init__(
        self,
        name: str,
        size: int,
        limits: WorkerLimits,
        *,
        warm_up: Task | None = None,
        on_restart: Callable[[str], None] = ignore,
    ) -> None:
        self._name = name
        self._size = size
        self._limits = limits
        self._warm_up = warm_up
        self._on_restart = on_restart
        self._idle: asyncio.Queue[WorkerProcess] = asyncio.Queue()
        self._workers: set[WorkerProcess] = set()
        self._running: set[asyncio.Future[Any]] = set()
        self._replacing: set[asyncio.Task[None]] = set()
        self._closing = False

    async def start(self) -> None:
        """Start all workers and wait until they are warm. Raises `WorkerStartError` when one cannot."""
        starting = [asyncio.ensure_future(self._start_worker()) for _ in range(self._size)]
        try:
            for worker in await asyncio.gather(*starting):
                self._idle.put_nowait(worker)
        except BaseException:
            for start in starting:
                start.cancel()
            await asyncio.gather(*starting, return_exceptions=True)
            await self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """Return the process ids of the workers that run."""
        return [worker.pid for worker in self._workers if worker.alive]

    async def check(self) -> None:
        """Raise `UnavailableError` when no worker is warm (all of them are being replaced)."""
        if self._closing or not any(worker.alive for worker in self._workers):
            raise UnavailableError(f"no {self._name} worker is ready")

    async def run(
        self,
        task: Task,
        *,
        on_progress: Callable[[Any], None] = ignore,
        seconds: float | None = None,
        step_seconds: float | None = None,
    ) -> Any:
        """Run `task` in the next free worker and return its result; a job's exception is raised as it was.

        `on_progress` is called on the event loop with each value that the job reports. Raises
        `WorkerTimeoutError` and `WorkerCrashedError`; a cancelled job's worker is killed at once.
        """
        if self._closing:
            raise UnavailableError(f"the {self._name} workers are stopping")
        job = asyncio.ensure_future(self._perform(task, on_progress, seconds or self._limits.job_seconds, step_seconds))
        self._running.add(job)
        job.add_done_callback(self._running.discard)
        return await job

    async def close(self, drain_seconds: float = 0.0) -> None:
        """Take no more jobs, let those that run finish within `drain_seconds`, then end all workers."""
        self._closing = True
        if self._running and drain_seconds > 0:
            await asyncio.wait(self._running, timeout=drain_seconds)
        pending = [*self._running, *self._replacing]
        for job in pending:
            job.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await asyncio.gather(*(self._end(worker) for worker in list(self._workers)))

    async def _perform(
        self, task: Task, on_progress: Callable[[Any], None], seconds: float, step_seconds: float | None
    ) -> Any:
        worker = await self._take()
        reason: str | None = "cancelled"
        try:
            result = await worker.perform(
                task,
                seconds=seconds,
                step_seconds=step_seconds or self._limits.step_seconds,
                on_progress=on_progress,
            )
            reason = None
        except WorkerTimeoutError:
            reason = "timeout"
            raise
        except WorkerCrashedError as error:
            reason = "out_of_memory" if isinstance(error, WorkerMemoryError) else "crashed"
            raise
        except MemoryError:
            # What native code left behind after a failed allocation is not to be built upon.
            reason = "out_of_memory"
            raise WorkerMemoryError("The job needed more memory than a worker may use.") from None
        except Exception:
            # The job's own exception: its worker is as good as before. Unless it was who hears of the progress that
            # failed: then the job is still at it, and its answer would be taken for that of the next one.
            reason = "cancelled" if worker.is_busy else None
            raise
        finally:
            self._give_back(worker, reason)
        return result

    async def _take(self) -> WorkerProcess:
        while True:
            worker = await self._idle.get()
            if worker.alive:
                return worker
            self._replace(worker, "crashed")

    def _give_back(self, worker: WorkerProcess, reason: str | None) -> None:
        limit = self._limits.recycle_after_units
        if reason is None and limit and worker.units >= limit:
            reason = "recycled"
        if reason is None and worker.alive:
            self._idle.put_nowait(worker)
        else:
            self._replace(worker, reason or "crashed")

    def _replace(self, worker: WorkerProcess, reason: str) -> None:
        if self._closing:
            return
        self._on_restart(reason)
        log.info("worker.replaced", pool=self._name, pid=worker.pid, reason=reason, units=worker.units)
        replacing = asyncio.ensure_future(self._start_again(worker))
        self._replacing.add(replacing)
        replacing.add_done_callback(self._replacing.discard)

    async def _start_again(self, worker: WorkerProcess) -> None:
        await self._end(worker)
        pause = 1.0
        while not self._closing:
            try:
                self._idle.put_nowait(await self._start_worker())
            except Exception as error:  # noqa: BLE001  # nobody else would start it: the pool would stay smaller for ever
                log.warning("worker.start_failed", pool=self._name, error=repr(error), pause_seconds=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                return

    async def _start_worker(self) -> WorkerProcess:
        worker = await start_worker(self._name, self._limits.memory_bytes)
        try:
            if self._warm_up is not None:
                seconds = self._limits.start_seconds
                await worker.perform(self._warm_up, seconds=seconds, step_seconds=seconds, on_progress=ignore)
        except BaseException as error:
            await asyncio.shield(worker.end())
            if isinstance(error, Exception):
                raise WorkerStartError(f"a {self._name} worker could not be warmed up: {error}") from error
            raise
        worker.units = 0
        self._workers.add(worker)
        return worker

    async def _end(self, worker: WorkerProcess) -> None:
        await worker.end()
        self._workers.discard(worker)
