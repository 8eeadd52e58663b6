"""Failing on purpose: what a test lets an emulated service do before, or instead of, its work."""

import asyncio
from collections import Counter, defaultdict, deque
from dataclasses import dataclass

import grpc

REMEMBERED_REQUESTS = 20
"""How many of the last requests a service holds for a test to look at: each has a file in it."""


class RefusedError(Exception):
    """The service answers with an error of gRPC."""

    def __init__(self, status: grpc.StatusCode, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Hang:
    """The call is never answered."""


@dataclass(frozen=True)
class Pause:
    """The call is answered later: when `until` is set."""

    until: asyncio.Event


Fault = RefusedError | Hang | Pause | None
"""With None the call is answered as if nothing were planned."""


class Faults:
    """What happens to the next calls of each method; `calls` counts all that arrived."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._planned: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def plan(self, method: str, *faults: Fault) -> None:
        """Let the next calls of `method` (`ProcessDocument`) fail, each in its turn."""
        self._planned[method].extend(faults)

    def mend(self, method: str) -> None:
        """Let the next calls of `method` go well, whatever was planned."""
        self._planned[method].clear()

    async def meet(self, method: str) -> None:
        """Count a call, and fail it when that is planned."""
        self.calls[method] += 1
        planned = self._planned[method]
        if not planned:
            return
        fault = planned.popleft()
        if isinstance(fault, Hang):
            await asyncio.Event().wait()
        elif isinstance(fault, Pause):
            await fault.until.wait()
        elif fault is not None:
            raise fault
