"""Long-running operations (google.longrunning.Operations), of all services of one emulator."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.longrunning.operations_pb2 import CancelOperationRequest, GetOperationRequest, Operation
from google.protobuf.empty_pb2 import Empty

from alta_emulators.faults import Faults, RefusedError
from alta_emulators.rpc import plain, service

SERVICE = "google.longrunning.Operations"

Work = Callable[["RunningOperation"], Awaitable[Any]]
"""Does an operation's work: returns its answer, a protobuf message; raises `RefusedError` when it fails."""


class RunningOperation:
    """What an operation's work may tell of itself."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    @property
    def name(self) -> str:
        """Return the operation's name."""
        return str(self._operation.name)

    def tell(self, metadata: Any) -> None:
        """Set the metadata, a protobuf message, that whoever asks is shown."""
        self._operation.metadata.Pack(metadata)


class Operations:
    """Starts operations and answers for them. `held` operations begin their work when `release` is called."""

    def __init__(self, faults: Faults) -> None:
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self._faults = faults
        self._operations: dict[str, Operation] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._numbers = itertools.count(1)
        self._go = asyncio.Event()
        self._go.set()

    def hold(self) -> None:
        """Let operations wait before their work from now on."""
        self._go.clear()

    def release(self) -> None:
        """Let all of them work."""
        self._go.set()

    def start(self, parent: str, work: Work) -> Operation:
        """Begin `work` in the background; return the operation, named below `parent` (`projects/p/locations/us`)."""
        name = f"{parent}/operations/{next(self._numbers)}"
        operation = Operation(name=name)
        self._operations[name] = operation
        self._tasks[name] = asyncio.create_task(self._run(operation, work))
        self.started.append(name)
        return operation

    def forget(self, name: str) -> None:
        """Know the operation no longer, as Google does after some days."""
        self._operations.pop(name)
        self._tasks.pop(name).cancel()

    async def close(self) -> None:
        """End all operations."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the service."""
        methods = {
            "GetOperation": plain(self._get, GetOperationRequest, Operation),
            "CancelOperation": plain(self._cancel, CancelOperationRequest, Empty),
        }
        return service(SERVICE, methods, self._faults)

    async def _run(self, operation: Operation, work: Work) -> None:
        try:
            await self._go.wait()
            operation.response.Pack(await work(RunningOperation(operation)))
        except RefusedError as refused:
            operation.error.code, operation.error.message = refused.status.value[0], refused.message
        except asyncio.CancelledError:
            operation.error.code, operation.error.message = grpc.StatusCode.CANCELLED.value[0], "Operation cancelled."
            raise
        except Exception as error:
            operation.error.code, operation.error.message = grpc.StatusCode.INTERNAL.value[0], repr(error)
            raise
        finally:
            operation.done = True

    async def _get(self, request: GetOperationRequest) -> Operation:
        return self._named(request.name)

    async def _cancel(self, request: CancelOperationRequest) -> Empty:
        self._named(request.name)
        self.cancelled.append(request.name)
        self._tasks[request.name].cancel()
        return Empty()

    def _named(self, name: str) -> Operation:
        if name not in self._operations:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Operation {name} not found.")
        return self._operations[name]
