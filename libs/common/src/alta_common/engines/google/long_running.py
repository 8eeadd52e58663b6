"""Operations that go on at Google after the call that began them, known by their names (google.longrunning)."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog
from google.api_core.exceptions import GoogleAPICallError, NotFound
from google.longrunning.operations_pb2 import CancelOperationRequest, GetOperationRequest, Operation

from alta_common.clock import utc_now
from alta_common.engines.google.calls import GoogleCalls, Patience
from alta_common.engines.google.errors import error_of
from alta_common.engines.operations import Operations, RemoteOperation
from alta_common.errors import NotFoundError, UnavailableError

log = structlog.get_logger()

_CANCEL_SECONDS = 10.0
_LAST_MOMENT_SECONDS = 10.0


class OperationNotFoundError(NotFoundError):
    """Google does not know the operation (any more): it has to be begun again."""

    code = "operation_not_found"


class OperationFailedError(UnavailableError):
    """The operation has ended through a fault that is not the file's: it has to be begun again, later."""

    code = "operation_failed"


class OperationsClient(Protocol):
    """What clients of APIs with operations have. Parameters are named as there: `timeout` is gRPC's deadline."""

    async def get_operation(self, request: Any, *, retry: Any, timeout: float) -> Any:  # noqa: ASYNC109  # Google's name
        """Return the operation as it is now."""
        ...

    async def cancel_operation(self, request: Any, *, retry: Any, timeout: float) -> None:  # noqa: ASYNC109  # Google's name
        """Ask for the operation's end."""
        ...


class LongRunning:
    """Operations of one client: begun, waited for, cancelled."""

    def __init__(self, calls: GoogleCalls, client: OperationsClient, patience: Patience) -> None:
        self._calls = calls
        self._client = client
        self._patience = patience

    async def begin(
        self, starting: Coroutine[Any, Any, str], operations: Operations, part: str, inputs: tuple[str, ...]
    ) -> RemoteOperation:
        """Begin the operation that `starting` returns the name of, and note it in `operations`.

        It is paid for from its beginning. So who is cancelled in between waits a moment for both, and an operation
        that cannot be noted is ended, for nobody would find it again. Raises what `starting` and `operations` raise.
        """
        beginning = asyncio.create_task(self._noted(starting, operations, part, inputs))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            await asyncio.wait([beginning], timeout=_LAST_MOMENT_SECONDS)
            beginning.cancel()
            raise

    async def wait_for(self, name: str, on_poll: Callable[[Operation], None] | None = None) -> Operation:
        """Return the operation when it has ended well; `on_poll` hears of it each time that it is asked for.

        Raises `OperationNotFoundError`; for an operation that failed `EngineError`, as a call with the same error
        would, or `OperationFailedError`; and `UnavailableError` when Google does not say how it is. Being cancelled
        leaves the operation running: a later `wait_for` finds it.
        """
        pause = self._patience.first_poll_seconds
        while True:
            operation = await self._calls.ask(self._get, GetOperationRequest(name=name))
            if on_poll is not None:
                on_poll(operation)
            if operation.done:
                break
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, self._patience.longest_poll_seconds)
        if operation.HasField("error"):
            error = error_of(operation.error.code, operation.error.message)
            failure = self._calls.translated(error)
            if isinstance(failure, UnavailableError):
                raise OperationFailedError(failure.detail) from error
            raise failure from error
        return operation

    async def cancel(self, name: str) -> None:
        """Ask Google to end the operation, so that nobody pays for the rest of it. Failing to is logged only."""
        try:
            request = CancelOperationRequest(name=name)
            await self._client.cancel_operation(request, retry=None, timeout=_CANCEL_SECONDS)
        except GoogleAPICallError as error:
            log.warning("google.operation_not_cancelled", operation=name, error=error.message)
        else:
            log.info("google.operation_cancelled", operation=name)

    async def _noted(
        self, starting: Coroutine[Any, Any, str], operations: Operations, part: str, inputs: tuple[str, ...]
    ) -> RemoteOperation:
        name = await starting
        operation = RemoteOperation(name=name, started_at=utc_now(), inputs=inputs)
        try:
            await operations.save(part, operation)
        except Exception:
            await self.cancel(name)
            raise
        log.info("google.operation_started", operation=name)
        return operation

    async def _get(self, request: GetOperationRequest, **options: Any) -> Operation:
        try:
            return await self._client.get_operation(request, **options)
        except NotFound as error:
            raise OperationNotFoundError(f"there is no operation {request.name}") from error
