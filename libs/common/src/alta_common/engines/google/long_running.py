"""Operations that go on at Google after the call that began them, known by their names (google.longrunning)."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import structlog
from google.api_core.exceptions import GoogleAPICallError, NotFound, from_grpc_status
from google.longrunning.operations_pb2 import CancelOperationRequest, GetOperationRequest, Operation

from alta_common.engines.google.calls import GoogleCalls
from alta_common.errors import NotFoundError, UnavailableError

log = structlog.get_logger()

_CANCEL_SECONDS = 10.0


class OperationNotFoundError(NotFoundError):
    """Google does not know the operation (any more): it has to be begun again."""

    code = "operation_not_found"


class OperationFailedError(UnavailableError):
    """The operation has ended through a fault that is not the file's: it has to be begun again, later."""

    code = "operation_failed"


class OperationsClient(Protocol):
    """What clients of APIs with operations have."""

    async def get_operation(self, request: Any, *, retry: Any, timeout: float) -> Any:  # noqa: ASYNC109 - as it is there
        """Return the operation as it is now."""
        ...

    async def cancel_operation(self, request: Any, *, retry: Any, timeout: float) -> None:  # noqa: ASYNC109 - as it is there
        """Ask for the operation's end."""
        ...


class LongRunning:
    """Waits for operations of one client, asking after 1 s first and every `longest_pause_seconds` at last."""

    def __init__(
        self,
        calls: GoogleCalls,
        client: OperationsClient,
        *,
        first_pause_seconds: float = 1.0,
        longest_pause_seconds: float = 15.0,
    ) -> None:
        self._calls = calls
        self._client = client
        self._first_pause = first_pause_seconds
        self._longest_pause = longest_pause_seconds

    async def wait_for(self, name: str, on_poll: Callable[[Operation], None] | None = None) -> Operation:
        """Return the operation when it has ended well; `on_poll` hears of it each time that it is asked for.

        Raises `OperationNotFoundError`; for an operation that failed `EngineError`, as a call with the same error
        would, or `OperationFailedError`; and `UnavailableError` when Google does not say how it is. Being cancelled
        leaves the operation running: a later `wait_for` finds it.
        """
        pause = self._first_pause
        while True:
            operation = await self._calls.ask(self._get, GetOperationRequest(name=name))
            if on_poll is not None:
                on_poll(operation)
            if operation.done:
                break
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, self._longest_pause)
        if operation.HasField("error"):
            error = _error_of(operation)
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

    async def _get(self, request: GetOperationRequest, *, retry: Any, timeout: float) -> Operation:  # noqa: ASYNC109 - the library's own parameter
        try:
            return await self._client.get_operation(request, retry=retry, timeout=timeout)
        except NotFound as error:
            raise OperationNotFoundError(f"there is no operation {request.name}") from error


def _error_of(operation: Operation) -> GoogleAPICallError:
    code, message = operation.error.code, operation.error.message
    error: GoogleAPICallError = from_grpc_status(code, message)  # type: ignore[no-untyped-call]  # has no types
    return error
