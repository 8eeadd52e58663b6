"""Who reads next: the document that has had the least of the workers, so that a letter does not wait for a book.

A document that comes begins with what the least served of those that wait has had, or with what each of those present
would have had by now, had all of them had the same (the virtual time of fair queueing; Demers, Keshav, Shenker, SIGCOMM
1989). So it is soon next, and letters that keep coming cannot starve the book.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field


@dataclass(eq=False)
class Share:
    """What one document has had of the workers, in seconds."""

    seconds: float
    waiting: list["asyncio.Future[None]"] = field(default_factory=list)


class Turns:
    """Hands out turns of which `at_once` may run."""

    def __init__(self, at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = at_once
        self._clock = clock
        self._level = 0.0
        self._shares: list[Share] = []

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Hold the share of a document that is being read."""
        share = Share(min([self._level, *(share.seconds for share in self._waiting())]))
        self._shares.append(share)
        try:
            yield share
        finally:
            self._shares.remove(share)

    @asynccontextmanager
    async def turn(self, share: Share) -> AsyncIterator[None]:
        """Hold a turn; wait for it as long as others that have had less want one."""
        await self._begin(share)
        started = self._clock()
        try:
            yield
        finally:
            seconds = self._clock() - started
            share.seconds += seconds
            self._level += seconds / max(1, len(self._shares))
            self._end()

    async def _begin(self, share: Share) -> None:
        if self._free > 0:
            self._free -= 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        share.waiting.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():
                # It was handed over in the very moment in which its document was cancelled.
                self._end()
            raise

    def _end(self) -> None:
        waiting = self._waiting()
        if waiting:
            # Of those that have had the same, the one that has been here longest.
            min(waiting, key=lambda share: share.seconds).waiting.pop(0).set_result(None)
        else:
            self._free += 1

    def _waiting(self) -> list[Share]:
        for share in self._shares:
            share.waiting = [turn for turn in share.waiting if not turn.cancelled()]
        return [share for share in self._shares if share.waiting]
