"""What a process is at, so that a cancellation can stop it."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

_REMEMBERED = 10_000


class WorkCancelledError(Exception):
    """Nobody wants the result any more. Not to be confused with a stop of the process, which hands the work back."""


@dataclass(eq=False)
class _Run:
    attempt: int
    stop: asyncio.Timeout
    cancelled: bool = False


class RunningWork:
    """The work of one process, by item and attempt, and the cancellations that it has heard of."""

    def __init__(self) -> None:
        self._runs: dict[UUID, set[_Run]] = {}
        # A cancellation may overtake its request. What a restart forgets, the marker object says again.
        self._cancelled: OrderedDict[UUID, int] = OrderedDict()

    @asynccontextmanager
    async def on(self, item_id: UUID, attempt: int) -> AsyncIterator[None]:
        """Do the work of the block. Raises `WorkCancelledError` when it is cancelled, before or while it runs.

        What runs in the block is stopped by an `asyncio.CancelledError`, as at any other stop.
        """
        if attempt <= self._cancelled.get(item_id, 0):
            raise WorkCancelledError
        # A timeout without a time tells our own cancellation from one that comes from outside, at any depth.
        run = _Run(attempt, asyncio.timeout(None))
        try:
            async with run.stop:
                self._runs.setdefault(item_id, set()).add(run)
                try:
                    yield
                finally:
                    self._leave(item_id, run)
        except Exception:
            if run.cancelled:
                raise WorkCancelledError from None
            raise
        if run.cancelled:
            raise WorkCancelledError

    def cancel(self, item_id: UUID, attempt: int) -> int:
        """Stop the work on this attempt and on those before it; return how many runs that were."""
        self._remember(item_id, attempt)
        runs = [run for run in self._runs.get(item_id, ()) if run.attempt <= attempt and not run.cancelled]
        for run in runs:
            run.cancelled = True
            run.stop.reschedule(asyncio.get_running_loop().time())
        return len(runs)

    def _leave(self, item_id: UUID, run: _Run) -> None:
        self._runs[item_id].discard(run)
        if not self._runs[item_id]:
            del self._runs[item_id]

    def _remember(self, item_id: UUID, attempt: int) -> None:
        self._cancelled[item_id] = max(attempt, self._cancelled.pop(item_id, 0))
        if len(self._cancelled) > _REMEMBERED:
            self._cancelled.popitem(last=False)
