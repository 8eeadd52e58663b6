"""What is particular to one kind of file in an engine service."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from prometheus_client import Counter
from pydantic import BaseModel

from alta_common.contracts.engines import EngineKind
from alta_common.contracts.event import Event
from alta_common.contracts.results import EngineInfo
from alta_common.engines.checkpoints import Checkpoint
from alta_common.engines.operations import Operations
from alta_common.engines.port import EngineError, SourceFile
from alta_common.engines.requests import EngineRequest
from alta_common.storage.object_storage import StoredObject


class Reading(Protocol):
    """What every engine returns: who read, and what is to be said about it."""

    @property
    def engine(self) -> EngineInfo:
        """Return which engine it was."""
        ...

    @property
    def warnings(self) -> list[str]:
        """Return the warnings, to which more may be added."""
        ...


class Engine(Protocol):
    """What every engine can, beside its own trade."""

    async def abandon(self, options: Any) -> None:
        """Stop what was given to others for a request: nobody wants it any more."""
        ...


@runtime_checkable
class Resuming(Protocol):
    """What an engine can that gives its work to others: fetch it, without the file."""

    async def resume(self, options: Any, progress: Callable[[float, float], None]) -> Any:
        """Return what others have read since an earlier delivery; None when there is nothing to wait for.

        Raises as reading does.
        """
        ...


RequestT = TypeVar("RequestT", bound=EngineRequest)
EngineT = TypeVar("EngineT", bound=Engine)
ReadingT = TypeVar("ReadingT", bound=Reading)
ResultT = TypeVar("ResultT", bound=BaseModel)


class Kind(ABC, Generic[RequestT, EngineT, ReadingT, ResultT]):
    """How the engines of one kind of file are called, and what is told of their work.

    Events answer a request: the same request gives the same event ids each time.
    """

    name: ClassVar[EngineKind]
    service: ClassVar[str]
    jobs: ClassVar[Counter]
    """Counts the requests that are done with, by outcome."""
    result: type[ResultT]
    length_is_known_late: ClassVar[bool] = False
    """Whether the beginning is told at once, as a step of 0 of 0, because finding out the length takes a while."""

    @abstractmethod
    def options(self, request: RequestT, checkpoint: Checkpoint, operations: Operations) -> Any:
        """Return the options of the engines' port."""

    @abstractmethod
    async def read(
        self, engine: EngineT, source: SourceFile, options: Any, progress: Callable[[float, float], None]
    ) -> ReadingT:
        """Have the engine read. Raises `EngineError`."""

    async def resume(self, engine: EngineT, options: Any, progress: Callable[[float, float], None]) -> ReadingT | None:
        """Return what others read for the engine since an earlier delivery; None when it has to read the file itself.

        Raises `EngineError`.
        """
        able: object = engine
        reading: ReadingT | None = await able.resume(options, progress) if isinstance(able, Resuming) else None
        return reading

    @abstractmethod
    def serialized(self, request: RequestT, reading: ReadingT) -> bytes:
        """Return the canonical JSON of the result; called in a thread."""

    @abstractmethod
    def progressed(self, request: RequestT, done: int, total: int) -> Event:
        """Return the event of a step."""

    @abstractmethod
    def completed(self, request: RequestT, stored: StoredObject, reading: ReadingT | ResultT, seconds: float) -> Event:
        """Return the event of a stored result; called in a thread."""

    @abstractmethod
    def failed(self, request: RequestT, error: EngineError) -> Event:
        """Return the event of a failure."""
