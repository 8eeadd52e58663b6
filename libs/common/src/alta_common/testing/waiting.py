"""Waiting for the thing, not for the clock."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar, overload

T = TypeVar("T")

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.1


@overload
async def eventually(probe: Callable[[], Awaitable[T]], within: timedelta | float = ..., *, what: str = "") -> T: ...


@overload
async def eventually(probe: Callable[[], T], within: timedelta | float = ..., *, what: str = "") -> T: ...


async def eventually(
    probe: Callable[[], Awaitable[T] | T], within: timedelta | float = timedelta(seconds=60), *, what: str = ""
) -> T:
    """Call `probe` until what it returns is true, and return that.

    An exception of the probe counts as "not yet". Raises `AssertionError` naming the last answer, or the last
    exception, when `within` (seconds when it is a number) has passed.
    """
    seconds = within.total_seconds() if isinstance(within, timedelta) else within
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while True:
        answer, error = await _ask(probe)
        if error is None and answer:
            return answer
        if time.monotonic() >= deadline:
            found = f"it raised {error!r}" if error else f"it was {answer!r}"
            raise AssertionError(
                f"{what or getattr(probe, '__name__', 'it')} not true within {seconds} s: {found}"
            ) from error
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


async def _ask(probe: Callable[[], Awaitable[T] | T]) -> tuple[T | None, Exception | None]:
    try:
        answer = probe()
        return (await answer if inspect.isawaitable(answer) else answer), None
    except Exception as error:  # noqa: BLE001 - whatever it is, it may pass
        return None, error
