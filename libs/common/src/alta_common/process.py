"""Running a process: the event loop, and the signals that end it."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

_STOPPING = (signal.SIGTERM, signal.SIGINT)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a process's main coroutine on uvloop where it is installed, else on asyncio's own loop.

    A signal that comes before `main` waits for one (while it still looks for its broker, say) cancels it, and the
    process ends as cleanly as with any other.
    """
    try:
        import uvloop
    except ImportError:
        asyncio.run(_cancellable(main))
    else:
        uvloop.run(_cancellable(main))


async def until_stopped() -> None:
    """Return when SIGTERM or SIGINT comes: what a worker's main waits for between start and stop."""
    stop = asyncio.Event()
    on_stop_signals(stop.set)
    await stop.wait()


def on_stop_signals(act: Callable[[], object]) -> None:
    """Call `act` in the running loop at each SIGTERM and SIGINT from now on."""
    loop = asyncio.get_running_loop()
    for number in _STOPPING:
        loop.add_signal_handler(number, act)


async def _cancellable(main: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(main)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    on_stop_signals(stop)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise
