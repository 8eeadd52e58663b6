import asyncio
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import ParamSpec, TypeVar

from alta_common.errors import UnavailableError
from alta_identity.metrics import HASH_QUEUE, HASH_REFUSED, HASH_SECONDS

P = ParamSpec("P")
T = TypeVar("T")

# The weight of the newest job in the running mean of durations.
NEWEST = 0.2


class BoundedPool:
    """A few threads for work that burns a core, and a queue before them that never promises too much.

    Work that would wait longer than `queue_limit` is refused at once with `UnavailableError`: a flood of
    sign-ins then costs its senders an early 503, not everybody a late answer.
    """

    def __init__(
        self, *, threads: int, queue_limit: timedelta, expected: timedelta = timedelta(milliseconds=30)
    ) -> None:
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="hash")
        self._threads = threads
        self._slots = asyncio.Semaphore(threads)
        self._limit = queue_limit.total_seconds()
        self._mean = expected.total_seconds()
        self._unfinished = 0

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `work` returns, done in a thread. Raises `UnavailableError` when the queue is too long."""
        if self._expected_wait() > self._limit:
            raise self._refusal()
        self._unfinished += 1
        HASH_QUEUE.set(self._unfinished)
        try:
            async with asyncio.timeout(self._limit):
                await self._slots.acquire()
        except TimeoutError:
            self._done()
            raise self._refusal() from None
        except asyncio.CancelledError:
            self._done()
            raise
        job = asyncio.get_running_loop().run_in_executor(
            self._executor, functools.partial(self._timed, functools.partial(work, *args, **kwargs))
        )
        job.add_done_callback(self._release)
        # A caller who hangs up does not stop the thread: the slot stays taken until the work is really over.
        return await asyncio.shield(job)

    def close(self) -> None:
        """Stop the threads once what runs is done."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _expected_wait(self) -> float:
        ahead = max(0, self._unfinished - self._threads + 1)
        return ahead * self._mean / self._threads

    def _timed(self, work: Callable[[], T]) -> T:
        begun = time.perf_counter()
        try:
            return work()
        finally:
            took = time.perf_counter() - begun
            self._mean += NEWEST * (took - self._mean)
            HASH_SECONDS.observe(took)

    def _release(self, job: "asyncio.Future[T]") -> None:
        self._slots.release()
        self._done()
        # Somebody who hung up does not read the error; asyncio must not report it as forgotten.
        if not job.cancelled():
            job.exception()

    def _done(self) -> None:
        self._unfinished -= 1
        HASH_QUEUE.set(self._unfinished)

    def _refusal(self) -> UnavailableError:
        HASH_REFUSED.inc()
        return UnavailableError("too many sign-ins at once; try again in a moment", retry_after_seconds=2)
