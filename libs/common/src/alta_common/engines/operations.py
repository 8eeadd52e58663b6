"""Work that somebody else's computers do for us, remembered so that a restarted process waits for it.

Google bills a long-running operation when it is started. Its name is stored before anybody waits, so that a request
that comes again (its process was killed, its turn was over) polls the same operation instead of paying for another.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from alta_common.engines.requests import EngineRequest
from alta_common.engines.work_time import WorkTime
from alta_common.errors import NotFoundError
from alta_common.ids import new_id
from alta_common.storage.object_storage import ObjectStorage

log = structlog.get_logger()

WORK_FOLDER = "work"
"""Where copies of files lie while an engine elsewhere reads them. Nothing in it is needed for longer than a day or two:
a bucket may have a lifecycle rule that removes what a killed process has left there."""


class RemoteOperation(BaseModel):
    """An operation that was started: its name at its service, when, and what it reads (gs:// addresses)."""

    model_config = ConfigDict(frozen=True)

    name: str
    started_at: datetime
    inputs: tuple[str, ...] = ()


class Operations(Protocol):
    """Remembers the operations of one request, by the part of the file that each works on."""

    @property
    def folder(self) -> str:
        """Return the key, without a slash at its end, below which the request's temporary objects belong."""
        ...

    async def find(self, part: str) -> RemoteOperation | None:
        """Return the operation that works on `part`, or None when none was started."""
        ...

    async def save(self, part: str, operation: RemoteOperation) -> None:
        """Remember `operation`. Call it before waiting for the operation's end."""
        ...

    async def clear(self, part: str) -> None:
        """Forget the operation of `part`: its outcome is stored, or it has failed and another is to be started."""
        ...

    def waiting(self) -> AbstractContextManager[None]:
        """Wait for operations in the block: that is no work of ours, and not counted against the request."""
        ...


class NoOperations:
    """Remembers nothing: for an engine that is called outside of a request."""

    def __init__(self) -> None:
        self.folder = f"{WORK_FOLDER}/{new_id()}"

    async def find(self, part: str) -> RemoteOperation | None:  # noqa: ARG002 - as the protocol has it
        """Return None."""
        return None

    async def save(self, part: str, operation: RemoteOperation) -> None:
        """Do nothing."""

    async def clear(self, part: str) -> None:
        """Do nothing."""

    def waiting(self) -> AbstractContextManager[None]:
        """Wait in the block."""
        return WorkTime().waiting()


class OperationStore:
    """Remembers a request's operations as small objects beside its result.

    `part` is a plain name: `speech`, `pages-1-15`. One instance serves one delivery of one request; `time` stands
    still while they are waited for.
    """

    def __init__(
        self, storage: ObjectStorage, item_id: UUID, request_event_id: UUID, time: WorkTime | None = None
    ) -> None:
        self._storage = storage
        self._time = time or WorkTime()
        self._prefix = f"results/{item_id}/{request_event_id}.operation-"
        self._parts: set[str] = set()
        self.folder = f"{WORK_FOLDER}/{item_id}/{request_event_id}"

    @classmethod
    def of(cls, storage: ObjectStorage, request: EngineRequest, time: WorkTime) -> "OperationStore":
        """Return the operations of `request`."""
        return cls(storage, request.aggregate_id, request.event_id, time)

    @property
    def parts(self) -> Sequence[str]:
        """Return the parts whose operations this instance has found or saved, and not cleared."""
        return sorted(self._parts)

    async def find(self, part: str) -> RemoteOperation | None:
        """Return the operation that works on `part`, or None when none was started."""
        key = self._prefix + part
        try:
            operation = RemoteOperation.model_validate_json(await self._storage.read(key))
        except NotFoundError:
            return None
        except ValidationError as error:
            log.warning("operation.unusable", key=key, error=str(error)[:200])
            return None
        self._parts.add(part)
        return operation

    async def save(self, part: str, operation: RemoteOperation) -> None:
        """Remember `operation`. Call it before waiting for the operation's end."""
        self._parts.add(part)
        await self._storage.put_bytes(self._prefix + part, operation.model_dump_json().encode(), "application/json")

    async def clear(self, part: str) -> None:
        """Forget the operation of `part`."""
        await self._storage.delete(self._prefix + part)
        self._parts.discard(part)

    def waiting(self) -> AbstractContextManager[None]:
        """Wait for operations in the block."""
        return self._time.waiting()

    async def clear_all(self) -> None:
        """Forget all that this instance knows of, once the request's result is stored."""
        for part in self.parts:
            await self.clear(part)
