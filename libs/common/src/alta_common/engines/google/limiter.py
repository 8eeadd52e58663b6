"""How fast, and how many at once, an API may be called by this process.

Google's quotas are per project and minute (Document AI: 600 online requests). Staying below is cheaper than being
refused. Several processes of one deployment share a quota: give each its part of it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_MINUTE = 60.0


class Pace:
    """A token bucket: `per_minute` tokens a minute, of which `burst` may be taken at once."""

    def __init__(self, per_minute: float, burst: int) -> None:
        self._interval = _MINUTE / per_minute
        self._slack = (burst - 1) * self._interval
        self._next = float("-inf")

    def take(self, now: float) -> float:
        """Take a token; return in how many seconds it may be used. Who comes first is served first."""
        self._next = max(self._next, now - self._slack)
        wait = max(0.0, self._next - now)
        self._next += self._interval
        return wait

    def give_back(self) -> None:
        """Return a token that will not be used."""
        self._next -= self._interval


class Limiter:
    """Lets `at_once` callers run at a time, in the order in which they came, not faster than `per_minute`."""

    def __init__(self, per_minute: float, at_once: int, waited: Callable[[float], object]) -> None:
        """`waited` hears how many seconds each turn had to be waited for."""
        self._pace = Pace(per_minute, at_once)
        self._slots = asyncio.Semaphore(at_once)
        self._waited = waited

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold one of the places, as soon as it is free. Who is cancelled while waiting has used nothing."""
        clock = asyncio.get_running_loop().time
        asked = clock()
        async with self._slots:
            await self._paced(clock())
            self._waited(clock() - asked)
            yield

    async def _paced(self, now: float) -> None:
        try:
            await asyncio.sleep(self._pace.take(now))
        except asyncio.CancelledError:
            self._pace.give_back()
            raise
