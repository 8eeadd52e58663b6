"""An engine service without a broker, whose engines do as they are told."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson
from prometheus_client import CollectorRegistry, Counter
from pydantic import BaseModel

from alta_common.clock import utc_now
from alta_common.contracts.engines import EngineKind
from alta_common.contracts.event import Event
from alta_common.contracts.ocr import DocumentOcrCompleted, DocumentOcrFailed, DocumentOcrProgressed
from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.contracts.results import EngineInfo
from alta_common.engines.checkpoints import Checkpoint
from alta_common.engines.kind import Kind
from alta_common.engines.operations import Operations, RemoteOperation
from alta_common.engines.port import EngineError, SourceFile
from alta_common.engines.rules import WorkRules
from alta_common.engines.work import EngineWork
from alta_common.ids import derived_id, new_id
from alta_common.storage.object_storage import StoredObject
from alta_common.testing.storage import MemoryObjectStorage

PAGES = 3


@dataclass
class Options:
    """What an engine is given."""

    language: str | None
    checkpoint: Checkpoint
    operations: Operations


@dataclass
class Letter:
    """What an engine has read."""

    engine: EngineInfo
    pages: list[str]
    warnings: list[str] = field(default_factory=list)


class LetterResult(BaseModel):
    """What is stored of it."""

    engine: EngineInfo
    pages: list[str]
    warnings: list[str]


@dataclass
class Engine:
    """Reads three pages and keeps each; before each it does what `acts` holds for it.

    It waits for others to read them, as long as `others` does, once an operation is noted.
    """

    name: str = "local"
    others: Callable[[], Awaitable[object]] | None = None
    acts: dict[int, Callable[[], Awaitable[object]]] = field(default_factory=dict)
    read: list[int] = field(default_factory=list)
    stopped: bool = False
    abandoned: int = 0

    async def recognize(self, options: Options) -> Letter:
        """Return the pages, those that are kept and the others."""
        pages = await options.checkpoint.load()
        for number in range(1, PAGES + 1):
            if str(number) not in pages:
                await self._act(number)
                self.read.append(number)
                await options.checkpoint.save(str(number), f"page {number}".encode())
        await options.operations.save("all", RemoteOperation(name="operations/1", started_at=utc_now()))
        pages = await options.checkpoint.load()
        return Letter(EngineInfo(name=self.name, version="1"), [pages[key].decode() for key in sorted(pages)])

    async def resume(self, options: Options, progress: Any) -> Letter | None:
        """Return what others have read."""
        if self.others is None or await options.operations.find("all") is None:
            return None
        progress(0, PAGES)
        with options.operations.waiting():
            await self.others()
        return Letter(EngineInfo(name=self.name, version="1"), ["page of others"])

    async def abandon(self, options: Options) -> None:
        """Count that it was called."""
        self.abandoned += 1
        await options.operations.find("all")

    async def _act(self, number: int) -> None:
        try:
            await self.acts.get(number, nothing)()
        except asyncio.CancelledError:
            self.stopped = True
            raise


class Letters(Kind[DocumentOcrRequested, Engine, Letter, LetterResult]):
    """Documents of three pages."""

    name: ClassVar[EngineKind] = "document"
    service: ClassVar[str] = "ocr"
    jobs = Counter("alta_test_jobs", "For the test.", ("outcome",), registry=CollectorRegistry())
    result = LetterResult

    def options(self, request: DocumentOcrRequested, checkpoint: Checkpoint, operations: Operations) -> Options:
        """Return what the engine is given."""
        return Options(request.language, checkpoint, operations)

    async def read(self, engine: Engine, source: SourceFile, options: Any, progress: Any) -> Letter:
        """Have the engine read."""
        assert await asyncio.to_thread(source.path.exists)
        progress(0, PAGES)
        return await engine.recognize(options)

    def serialized(self, request: DocumentOcrRequested, reading: Letter) -> bytes:
        """Return the result as JSON."""
        return orjson.dumps(
            {
                "document_id": request.document_id,
                "engine": reading.engine.model_dump(),
                "pages": reading.pages,
                "warnings": reading.warnings,
            }
        )

    def progressed(self, request: DocumentOcrRequested, done: int, total: int) -> Event:
        """Return the event of a step."""
        return DocumentOcrProgressed(**_answering(request), done=done, total=total, unit="page")

    def completed(
        self, request: DocumentOcrRequested, stored: StoredObject, reading: Letter | LetterResult, seconds: float
    ) -> Event:
        """Return the event of a result."""
        return DocumentOcrCompleted(
            event_id=derived_id(request.event_id, "completed"),
            **_answering(request),
            result_key=stored.key,
            result_sha256=stored.sha256,
            result_bytes=stored.size_bytes,
            engine_name=reading.engine.name,
            engine_version=reading.engine.version,
            pages=len(reading.pages),
            warnings=reading.warnings,
            engine_seconds=seconds,
        )

    def failed(self, request: DocumentOcrRequested, error: EngineError) -> Event:
        """Return the event of a failure."""
        return DocumentOcrFailed(**_answering(request), code=error.code, detail=error.detail, retryable=error.retryable)


class EngineWorld:
    """The processes of an engine service, which share storage and engines; `events` is what they have published."""

    def __init__(self) -> None:
        self.storage = MemoryObjectStorage()
        self.local = Engine("local")
        self.google = Engine("documentai")
        self.engines = {"local": self.local, "documentai": self.google}
        self.events: list[Event] = []

    def work(self, **rules: Any) -> EngineWork[DocumentOcrRequested, Engine, Letter, LetterResult]:
        """Return a process of the service: it shares nothing with another one but the storage."""
        defaults: dict[str, Any] = {"default_engine": "local", "job_seconds": 600.0, "slice_seconds": 300.0}
        return EngineWork(Letters(), self.storage, self.engines, self, WorkRules(**{**defaults, **rules}))

    async def publish(self, event: Event) -> None:
        """Take an event."""
        self.events.append(event)

    async def upload(self, **values: Any) -> DocumentOcrRequested:
        """Return a request whose file is stored."""
        request = DocumentOcrRequested(
            document_id=new_id(),
            project_id=new_id(),
            object_key=f"documents/{new_id()}",
            content_type="application/pdf",
            size_bytes=1,
            sha256="0" * 64,
            filename="letter.pdf",
            **values,
        )
        await self.storage.put_bytes(request.object_key, b"x", "application/pdf")
        return request

    @property
    def completed(self) -> list[DocumentOcrCompleted]:
        """Return the successes that were told."""
        return [event for event in self.events if isinstance(event, DocumentOcrCompleted)]

    @property
    def failed(self) -> list[DocumentOcrFailed]:
        """Return the failures that were told."""
        return [event for event in self.events if isinstance(event, DocumentOcrFailed)]

    @property
    def answers(self) -> list[Event]:
        """Return what ends a request."""
        return [*self.completed, *self.failed]

    def kept(self) -> list[str]:
        """Return the keys of the objects beside uploads and results."""
        return [key for key in self.storage.objects if not key.startswith("documents/") and not key.endswith(".json")]


async def nothing() -> None:
    """Do nothing before a page."""


async def for_ever() -> None:
    """Never come to the page."""
    await asyncio.Event().wait()


def fail(error: Exception) -> Callable[[], Awaitable[object]]:
    """Return what fails instead of reading a page."""

    async def act() -> None:
        raise error

    return act


def _answering(request: DocumentOcrRequested) -> dict[str, Any]:
    return {
        "document_id": request.document_id,
        "project_id": request.project_id,
        "request_event_id": request.event_id,
        "attempt": request.attempt,
    }
