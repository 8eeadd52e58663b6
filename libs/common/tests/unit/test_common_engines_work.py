"""The rules that every request to an engine service lives by, with an engine that does as it is told."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

import orjson
import pytest
from prometheus_client import CollectorRegistry, Counter
from pydantic import BaseModel

from alta_common.clock import utc_now
from alta_common.contracts.engines import EngineKind
from alta_common.contracts.event import Event
from alta_common.contracts.ocr import DocumentOcrCompleted, DocumentOcrFailed, DocumentOcrProgressed
from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.contracts.results import EngineInfo, cancellation_key
from alta_common.engines.checkpoints import Checkpoint
from alta_common.engines.kind import Kind
from alta_common.engines.operations import Operations, RemoteOperation
from alta_common.engines.port import EngineError, InputError, SourceFile
from alta_common.engines.rules import WorkRules
from alta_common.engines.work import EngineWork
from alta_common.errors import UnavailableError
from alta_common.ids import derived_id, new_id
from alta_common.messaging.failures import UnfinishedError
from alta_common.storage.object_storage import StoredObject
from alta_common.testing import eventually
from alta_common.testing.storage import MemoryObjectStorage

PAGES = 3


@dataclass
class Options:
    language: str | None
    checkpoint: Checkpoint
    operations: Operations


@dataclass
class Letter:
    engine: EngineInfo
    pages: list[str]
    warnings: list[str] = field(default_factory=list)


class LetterResult(BaseModel):
    engine: EngineInfo
    pages: list[str]
    warnings: list[str]


@dataclass
class Engine:
    """Reads three pages and keeps each; before each it does what it is told to do then."""

    name: str = "local"
    acts: dict[int, Callable[[], Awaitable[object]]] = field(default_factory=dict)
    read: list[int] = field(default_factory=list)
    stopped: bool = False
    abandoned: int = 0

    async def recognize(self, options: Options) -> Letter:
        pages = await options.checkpoint.load()
        for number in range(1, PAGES + 1):
            if str(number) not in pages:
                await self._act(number)
                self.read.append(number)
                await options.checkpoint.save(str(number), f"page {number}".encode())
        await options.operations.save("all", RemoteOperation(name="operations/1", started_at=utc_now()))
        pages = await options.checkpoint.load()
        return Letter(EngineInfo(name=self.name, version="1"), [pages[key].decode() for key in sorted(pages)])

    async def abandon(self, options: Options) -> None:
        self.abandoned += 1
        await options.operations.find("all")

    async def _act(self, number: int) -> None:
        try:
            await self.acts.get(number, _nothing)()
        except asyncio.CancelledError:
            self.stopped = True
            raise


class Letters(Kind[DocumentOcrRequested, Engine, Letter, LetterResult]):
    name: ClassVar[EngineKind] = "document"
    service: ClassVar[str] = "ocr"
    jobs = Counter("alta_test_jobs", "For the test.", ("outcome",), registry=CollectorRegistry())
    result = LetterResult

    def options(self, request: DocumentOcrRequested, checkpoint: Checkpoint, operations: Operations) -> Options:
        return Options(request.language, checkpoint, operations)

    async def read(self, engine: Engine, source: SourceFile, options: Any, progress: Any) -> Letter:
        assert await asyncio.to_thread(source.path.exists)
        progress(0, PAGES)
        return await engine.recognize(options)

    def serialized(self, request: DocumentOcrRequested, reading: Letter) -> bytes:
        return orjson.dumps(
            {
                "document_id": request.document_id,
                "engine": reading.engine.model_dump(),
                "pages": reading.pages,
                "warnings": reading.warnings,
            }
        )

    def progressed(self, request: DocumentOcrRequested, done: int, total: int) -> Event:
        return DocumentOcrProgressed(**_answering(request), done=done, total=total, unit="page")

    def completed(
        self, request: DocumentOcrRequested, stored: StoredObject, reading: Letter | LetterResult, seconds: float
    ) -> Event:
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
        return DocumentOcrFailed(**_answering(request), code=error.code, detail=error.detail, retryable=error.retryable)


class World:
    """An engine service without a broker."""

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
        self.events.append(event)

    async def upload(self, **values: Any) -> DocumentOcrRequested:
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
        return [event for event in self.events if isinstance(event, DocumentOcrCompleted)]

    @property
    def failed(self) -> list[DocumentOcrFailed]:
        return [event for event in self.events if isinstance(event, DocumentOcrFailed)]

    @property
    def answers(self) -> list[Event]:
        return [*self.completed, *self.failed]

    def kept(self) -> list[str]:
        """The objects beside uploads and results."""
        return [key for key in self.storage.objects if not key.startswith("documents/") and not key.endswith(".json")]


def _answering(request: DocumentOcrRequested) -> dict[str, Any]:
    return {
        "document_id": request.document_id,
        "project_id": request.project_id,
        "request_event_id": request.event_id,
        "attempt": request.attempt,
    }


async def _nothing() -> None: ...


async def for_ever() -> None:
    await asyncio.Event().wait()


def fail(error: Exception) -> Callable[[], Awaitable[object]]:
    async def act() -> None:
        raise error

    return act


def finished(outcome: str) -> float:
    return Letters.jobs.labels(outcome)._value.get()


@pytest.fixture
def world() -> World:
    return World()


async def test_a_request_leaves_its_result_and_nothing_else(world: World) -> None:
    await world.work().perform(await world.upload())

    [completed] = world.completed
    assert orjson.loads(world.storage.objects[completed.result_key])["pages"] == ["page 1", "page 2", "page 3"]
    assert world.kept() == []
    assert world.local.abandoned == 0


# Cancellation


async def test_cancelled_work_stops_at_once_and_nothing_is_told_or_left(world: World) -> None:
    request = await world.upload(attempt=2)
    work = world.work()
    world.local.acts[3] = for_ever
    before = finished("cancelled")
    performing = asyncio.create_task(work.perform(request))
    await eventually(lambda: world.local.read == [1, 2])

    work.cancel(request.document_id, 2, "cancelled")
    await performing

    assert world.local.stopped
    assert world.answers == []
    assert world.kept() == []
    assert world.local.abandoned == 1
    assert finished("cancelled") == before + 1


async def test_a_newer_attempt_goes_on_when_an_older_one_is_cancelled(world: World) -> None:
    request = await world.upload(attempt=2)
    work = world.work()

    async def cancel_the_first() -> None:
        work.cancel(request.document_id, 1, "superseded")

    world.local.acts[2] = cancel_the_first
    await work.perform(request)

    assert len(world.completed) == 1


async def test_a_request_whose_cancellation_was_heard_before_it_is_not_begun(world: World) -> None:
    request = await world.upload()
    work = world.work()

    work.cancel(request.document_id, 1, "deleted")
    await work.perform(request)

    assert world.local.read == []
    assert world.answers == []


async def test_a_request_whose_cancellation_nobody_heard_finds_the_marker_before_it_begins(world: World) -> None:
    request = await world.upload()
    await world.storage.put_bytes(cancellation_key(request.document_id, 1), b"", "text/plain")

    await world.work().perform(request)

    assert world.local.read == []
    assert world.answers == []


@pytest.mark.parametrize("act", [_nothing, fail(InputError("corrupt_file", "It is damaged."))])
async def test_what_was_cancelled_meanwhile_is_neither_stored_nor_told(
    world: World, act: Callable[[], Awaitable[object]]
) -> None:
    request = await world.upload()

    async def mark() -> None:
        await world.storage.put_bytes(cancellation_key(request.document_id, 1), b"", "text/plain")
        await act()

    world.local.acts[2] = mark
    await world.work().perform(request)

    assert world.answers == []
    assert world.kept() == [cancellation_key(request.document_id, 1)]
    assert [key for key in world.storage.objects if key.endswith(".json")] == []


async def test_a_cancellation_after_the_end_changes_nothing(world: World) -> None:
    request = await world.upload()
    work = world.work()
    await work.perform(request)
    stored = dict(world.storage.objects)

    work.cancel(request.document_id, 1, "deleted")
    await work.perform(request)

    assert len(world.completed) == 1
    assert world.storage.objects == stored


async def test_a_stop_of_the_process_keeps_what_is_done_for_the_next(world: World) -> None:
    request = await world.upload()
    world.local.acts[3] = for_ever
    performing = asyncio.create_task(world.work().perform(request))
    await eventually(lambda: world.local.read == [1, 2])

    performing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await performing
    assert world.answers == []
    assert world.local.abandoned == 0

    world.local.acts.clear()
    await world.work().perform(request)
    assert world.local.read == [1, 2, 3]
    assert world.completed[0].pages == PAGES
    assert world.kept() == []


# Time


async def test_long_work_goes_on_slice_by_slice(world: World) -> None:
    request = await world.upload()
    world.local.acts[2] = for_ever

    with pytest.raises(UnfinishedError):
        await world.work(slice_seconds=1.5).perform(request)
    assert world.local.stopped
    assert world.answers == []
    world.local.acts = {3: for_ever}
    with pytest.raises(UnfinishedError):
        await world.work(slice_seconds=1.5).perform(request)
    world.local.acts = {}
    await world.work().perform(request)

    assert world.local.read == [1, 2, 3]
    assert len(world.completed) == 1
    assert world.kept() == []


async def test_all_slices_together_have_the_time_of_the_job(world: World) -> None:
    request = await world.upload()
    world.local.acts[1] = for_ever
    slices = 0
    while not world.failed:
        slices += 1
        with suppress(UnfinishedError):
            await world.work(slice_seconds=0.2, job_seconds=3).perform(request)

    assert slices > 1
    [failed] = world.failed
    assert (failed.code, failed.retryable) == ("timeout", False)
    assert world.kept() == []
    assert world.local.abandoned == 1


async def test_what_comes_after_its_deadline_fails_without_work(world: World) -> None:
    request = await world.upload(deadline_at=utc_now() - timedelta(seconds=1))

    await world.work().perform(request)

    [failed] = world.failed
    assert (failed.code, failed.retryable) == ("timeout", True)
    assert world.local.read == []


async def test_a_deadline_stops_what_is_at_work(world: World) -> None:
    request = await world.upload(deadline_at=utc_now() + timedelta(seconds=4))
    world.local.acts[2] = for_ever

    await world.work().perform(request)

    assert world.local.stopped
    [failed] = world.failed
    assert (failed.code, failed.retryable) == ("timeout", True)
    assert world.kept() == []


async def test_a_deadline_far_away_changes_nothing(world: World) -> None:
    await world.work().perform(await world.upload(deadline_at=utc_now() + timedelta(hours=24)))

    assert len(world.completed) == 1


async def test_a_result_that_was_made_in_time_is_told_after_the_deadline_too(world: World) -> None:
    request = await world.upload()
    await world.work().perform(request)

    await world.work().perform(request.model_copy(update={"deadline_at": utc_now() - timedelta(hours=1)}))

    first, second = world.completed
    assert first.event_id == second.event_id


# Twice is once


async def test_a_second_delivery_that_was_faster_is_not_overwritten(world: World) -> None:
    request = await world.upload()

    async def be_overtaken() -> None:
        world.local.acts.clear()
        await world.work().perform(request)

    world.local.acts[1] = be_overtaken
    await world.work().perform(request)

    first, second = world.completed
    assert (first.event_id, first.result_sha256) == (second.event_id, second.result_sha256)
    assert world.kept() == []


# Fallback


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("nobody answers"),
        EngineError("quota_exceeded", "Too much today.", retryable=True),
        EngineError("engine_unavailable", "It is switched off."),
    ],
    ids=repr,
)
async def test_another_engine_reads_when_the_one_asked_for_is_away_and_says_so(world: World, error: Exception) -> None:
    world.google.acts[1] = fail(error)

    await world.work(fallback_engine="local").perform(await world.upload(engine="documentai"))

    [completed] = world.completed
    assert (completed.engine_name, completed.warnings) == ("local", ["fallback_engine_used"])
    assert orjson.loads(world.storage.objects[completed.result_key])["warnings"] == ["fallback_engine_used"]
    assert world.google.abandoned == 1


async def test_another_engine_reads_where_the_one_asked_for_is_not_configured(world: World) -> None:
    del world.engines["documentai"]

    await world.work(fallback_engine="local").perform(await world.upload(engine="google"))

    assert world.completed[0].warnings == ["fallback_engine_used"]


async def test_nobody_stands_in_unless_the_deployment_says_so(world: World) -> None:
    world.google.acts[1] = fail(EngineError("quota_exceeded", "Too much today.", retryable=True))

    await world.work().perform(await world.upload(engine="documentai"))

    assert world.local.read == []
    [failed] = world.failed
    assert (failed.code, failed.retryable) == ("quota_exceeded", True)


async def test_nobody_stands_in_for_an_engine_that_found_fault_with_the_file(world: World) -> None:
    world.google.acts[1] = fail(InputError("corrupt_file", "It is damaged."))

    await world.work(fallback_engine="local").perform(await world.upload(engine="documentai"))

    assert world.failed[0].code == "corrupt_file"
    assert world.local.read == []


async def test_an_engine_does_not_stand_in_for_itself(world: World) -> None:
    world.local.acts[1] = fail(UnavailableError("no worker"))

    with pytest.raises(UnavailableError):
        await world.work(fallback_engine="local").perform(await world.upload())


async def test_the_fallback_begins_from_nothing_and_the_engine_asked_for_is_asked_first_again(world: World) -> None:
    request = await world.upload(engine="documentai")
    world.google.acts[2] = fail(UnavailableError("nobody answers"))
    world.local.acts[2] = for_ever
    work = world.work(fallback_engine="local", slice_seconds=3)

    with pytest.raises(UnfinishedError):
        await work.perform(request)
    world.google.acts.clear()
    await world.work(fallback_engine="local").perform(request)

    assert (world.local.read, world.google.read) == ([1], [1, 2, 3])
    assert (world.completed[0].engine_name, world.completed[0].warnings) == ("documentai", [])
    assert world.kept() == []


@pytest.mark.parametrize("asked", ["documentai", "google"])
async def test_an_engine_that_is_not_configured_is_named(world: World, asked: str) -> None:
    del world.engines["documentai"]

    await world.work().perform(await world.upload(engine=asked))

    [failed] = world.failed
    assert (failed.code, failed.retryable) == ("engine_unavailable", False)
    assert "'documentai'" in failed.detail


# The end


async def test_what_cannot_be_tidied_up_is_no_fault_of_the_request(world: World) -> None:
    async def be_away(options: Options) -> None:
        raise UnavailableError("nobody answers")

    world.local.abandon = be_away  # type: ignore[method-assign]
    world.local.acts[1] = fail(InputError("corrupt_file", "It is damaged."))

    await world.work().perform(await world.upload())

    assert world.failed[0].code == "corrupt_file"


async def test_giving_up_tells_the_owner_and_leaves_nothing(world: World) -> None:
    request = await world.upload()
    world.local.acts[2] = fail(UnavailableError("no worker"))
    work = world.work()
    with pytest.raises(UnavailableError):
        await work.perform(request)
    assert world.kept() != []

    await work.give_up(request, UnavailableError("no worker"), "Please try again later.")

    assert (world.failed[0].code, world.failed[0].detail) == ("engine_unavailable", "Please try again later.")
    assert world.kept() == []
