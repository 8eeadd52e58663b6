"""Calling one of Google's APIs as this house does: paced, with a time limit for each attempt, our own retries.

The client library's are switched off: Speech has neither retries nor time limits, Document AI repeats for five
minutes what can never succeed, and none of them knows of our limiter.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from google.api_core.exceptions import GoogleAPICallError
from google.rpc.error_details_pb2 import RetryInfo
from opentelemetry.trace import SpanKind

from alta_common.engines.google import metrics
from alta_common.engines.google.errors import Fault, blame_for, refused, translated
from alta_common.engines.google.limiter import Limiter
from alta_common.engines.port import EngineError, InputError
from alta_common.errors import UnavailableError
from alta_common.telemetry.context import span

log = structlog.get_logger()

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long a call may take. What takes longer is for the job queue to try again, or for the job's own limit.

    How far an operation has come is asked after `first_poll_seconds`, then ever more seldom.
    """

    attempt_seconds: float = 120.0
    total_seconds: float = 300.0
    """All attempts and the pauses between them; waiting for the limiter's turn does not count."""
    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 30.0
    first_poll_seconds: float = 1.0
    longest_poll_seconds: float = 15.0


class GoogleCalls:
    """Calls methods of one client. `api` names it in logs and metrics, `faults` are those that it words in its own way.

    The first of `faults` that matches a message counts.
    """

    def __init__(self, api: str, limiter: Limiter, faults: Sequence[Fault], patience: Patience) -> None:
        self._api = api
        self._limiter = limiter
        self._faults = faults
        self._patience = patience
        self._is_refused = False

    def check(self) -> None:
        """Raise `UnavailableError` while Google refuses what we ask for reasons that an operator has to deal with.

        Asks nothing of the network: it remembers how the last call went.
        """
        if self._is_refused:
            raise UnavailableError(f"{self._api} refuses our calls: see google.refused in the log")

    async def call(self, method: Callable[..., Awaitable[T]], request: Any) -> T:
        """Return the answer to `request`, sent when its turn comes and again while that may help.

        Raises what `errors.translated` makes of the last error. Cancelling it ends the attempt that is under way.
        """
        return await self._repeated(method, request, self._limiter.turn)

    async def ask(self, method: Callable[..., Awaitable[T]], request: Any) -> T:
        """Do the same for questions that no quota counts, such as how far an operation is."""
        return await self._repeated(method, request, nullcontext)

    def translated(self, error: GoogleAPICallError) -> Exception:
        """Return what to raise for an error that came in an answer, such as an operation's."""
        return translated(error, self._api, self._faults)

    def refused(self, error: InputError) -> EngineError:
        """Return what to raise for an `error` that is the operator's fault after all."""
        self._is_refused = True
        return refused(self._api, error.code, error.detail)

    async def _repeated(
        self,
        method: Callable[..., Awaitable[T]],
        request: Any,
        turn: Callable[[], AbstractAsyncContextManager[None]],
    ) -> T:
        spent, pause = 0.0, self._patience.first_pause_seconds
        while True:
            async with turn():
                started = time.monotonic()
                try:
                    return await self._attempt(method, request)
                except GoogleAPICallError as error:
                    failure = error
            # The place is free for others during the pause.
            wait = max(_asked_pause(failure), pause * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
            spent += time.monotonic() - started + wait
            if blame_for(failure, self._faults) != "moment" or spent > self._patience.total_seconds:
                raise self._remembered(self.translated(failure)) from failure
            log.warning("google.retried", api=self._api, error=failure.message, pause_seconds=round(wait, 2))
            await asyncio.sleep(wait)
            pause = min(2 * pause, self._patience.longest_pause_seconds)

    def _remembered(self, error: Exception) -> Exception:
        self._is_refused = isinstance(error, EngineError) and not isinstance(error, InputError)
        return error

    async def _attempt(self, method: Callable[..., Awaitable[T]], request: Any) -> T:
        outcome = "cancelled"
        with (
            span("google.request", kind=SpanKind.CLIENT, attributes={"rpc.system": "grpc", "alta.api": self._api}),
            metrics.request_duration.labels(self._api).time(),
        ):
            try:
                answer = await method(request=request, retry=None, timeout=self._patience.attempt_seconds)
                outcome, self._is_refused = "ok", False
            except GoogleAPICallError as error:
                outcome = error.grpc_status_code.name.lower() if error.grpc_status_code else "unknown"
                raise
            finally:
                metrics.requests.labels(self._api, outcome).inc()
        return answer


def create_limiter(api: str, *, per_minute: float, at_once: int) -> Limiter:
    """Return a limiter whose waits are measured."""
    return Limiter(per_minute, at_once, metrics.limiter_wait.labels(api).observe)


def _asked_pause(error: GoogleAPICallError) -> float:
    """Return the pause in seconds that Google asks for, with some refusals."""
    asked = [detail.retry_delay.ToTimedelta() for detail in error.details or () if isinstance(detail, RetryInfo)]
    return max((delay.total_seconds() for delay in asked), default=0.0)
