"""How long is worked here on a request. Waiting for somebody else's computers is no work."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class WorkTime:
    """A clock that stands still while others are waited for. One instance serves one delivery of a request."""

    def __init__(self) -> None:
        self._limit: asyncio.Timeout | None = None
        self._seconds = 0.0
        self._worked = 0.0
        self._since: float | None = None
        self._waits = 0

    @property
    def worked_seconds(self) -> float:
        """Return how long the block of `at_most` has worked, once it has ended."""
        return self._worked

    @property
    def is_over(self) -> bool:
        """Say whether the block of `at_most` was ended because its time was over."""
        return self._limit is not None and self._limit.expired()

    @asynccontextmanager
    async def at_most(self, seconds: float) -> AsyncIterator[None]:
        """Do the work of the block. Raises `TimeoutError` when it has worked for `seconds`."""
        self._seconds = seconds
        async with asyncio.timeout(None) as self._limit:
            self._go_on()
            try:
                yield
            finally:
                self._stand_still()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait for others in the block. Outside of `at_most` there is no clock, and nothing to do."""
        self._waits += 1
        self._stand_still()
        try:
            yield
        finally:
            self._waits -= 1
            if not self._waits:
                self._go_on()

    def _stand_still(self) -> None:
        if self._since is not None:
            self._worked += asyncio.get_running_loop().time() - self._since
            self._since = None
            self._end_at(None)

    def _go_on(self) -> None:
        if self._limit is not None:
            self._since = asyncio.get_running_loop().time()
            self._end_at(self._since + self._seconds - self._worked)

    def _end_at(self, moment: float | None) -> None:
        # A block that is being ended stays so.
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(moment)
