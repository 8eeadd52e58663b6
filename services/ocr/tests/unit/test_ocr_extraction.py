import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from alta_common.contracts.event import Event
from alta_common.contracts.ocr import DocumentOcrCompleted, DocumentOcrFailed, DocumentOcrProgressed
from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.contracts.results import EngineInfo, Line, OcrResult, Page, Word
from alta_common.engines.port import EngineError, InputError, SourceFile
from alta_common.engines.rules import WorkRules
from alta_common.errors import InvalidError, UnavailableError
from alta_common.ids import derived_id, new_id
from alta_common.testing.storage import MemoryObjectStorage
from alta_ocr.application.extraction import ExtractionService
from alta_ocr.engines.engine import DocumentReading, OcrOptions, PageReading, Progress

CONTENT = b"a document"


class MemoryPublisher:
    """Keeps what was published; refuses as often as it is told to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.refusals = 0

    async def publish(self, event: Event) -> None:
        if self.refusals:
            self.refusals -= 1
            raise UnavailableError("the broker is away")
        self.events.append(event)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@dataclass
class FakeEngine:
    """Reads every document as two pages that say the same."""

    read: list[bytes] = field(default_factory=list)
    error: Exception | None = None
    hang: bool = False
    stopped: bool = False
    confidences: tuple[float | None, ...] = (0.9, 0.7)

    async def recognize(self, source: SourceFile, options: OcrOptions, progress: Progress) -> DocumentReading:
        self.read.append(await asyncio.to_thread(source.path.read_bytes))
        progress(0, 2)
        if self.hang:
            try:
                await asyncio.Event().wait()
            finally:
                self.stopped = True
        if self.error:
            raise self.error
        for done in (1, 2):
            progress(done, 2)
        pages = [self._page(number) for number in (1, 2)]
        return DocumentReading(EngineInfo(name="fake", version="1", config_hash="c"), options.language, pages)

    async def abandon(self, options: OcrOptions) -> None: ...

    async def check(self) -> None: ...

    def _page(self, number: int) -> PageReading:
        words = [
            Word(text=f"w{i}", confidence=confidence, box=(0, 0, 1, 1)) for i, confidence in enumerate(self.confidences)
        ]
        line = Line(text="w0 w1", confidence=None, box=(0, 0, 1, 1), words=words)
        known = [word.confidence for word in words if word.confidence is not None]
        mean = sum(known) / len(known) if known else None
        return PageReading.of(Page(number=number, width=1, height=1, confidence=mean, lines=[line]), 0.1)


def a_request(**values: Any) -> DocumentOcrRequested:
    document_id, project_id = new_id(), new_id()
    defaults = {
        "document_id": document_id,
        "project_id": project_id,
        "object_key": f"documents/{project_id}/{document_id}/original",
        "content_type": "application/pdf",
        "size_bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "filename": "letter.pdf",
        "attempt": 3,
    }
    return DocumentOcrRequested(**{**defaults, **values})


@pytest.fixture
def storage() -> MemoryObjectStorage:
    return MemoryObjectStorage()


@pytest.fixture
def publisher() -> MemoryPublisher:
    return MemoryPublisher()


@pytest.fixture
def fake() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def service(storage: MemoryObjectStorage, fake: FakeEngine, publisher: MemoryPublisher) -> ExtractionService:
    rules = WorkRules(default_engine="local", job_seconds=30)
    return ExtractionService(storage, {"local": fake}, publisher, rules)


@pytest.fixture
def uploaded(storage: MemoryObjectStorage) -> Callable[..., Any]:
    async def upload(**values: Any) -> DocumentOcrRequested:
        request = a_request(**values)
        await storage.put_bytes(request.object_key, CONTENT, request.content_type)
        return request

    return upload


async def test_a_document_is_read_stored_and_answered(
    service: ExtractionService, storage: MemoryObjectStorage, publisher: MemoryPublisher, uploaded: Callable[..., Any]
) -> None:
    request = await uploaded(language="nl")

    await service.extract(request)

    [completed] = publisher.of(DocumentOcrCompleted)
    content = storage.objects[f"results/{request.document_id}/{request.event_id}.json"]
    result = OcrResult.model_validate_json(content)
    assert result.document_id == request.document_id
    assert result.text == "w0 w1\n\nw0 w1"
    assert [page.number for page in result.pages] == [1, 2]
    assert (completed.result_sha256, completed.result_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (completed.request_event_id, completed.attempt) == (request.event_id, 3)
    assert (completed.engine_name, completed.engine_version, completed.engine_config_hash) == ("fake", "1", "c")
    assert (completed.pages, completed.language) == (2, "nl")
    assert completed.confidence == pytest.approx(0.8)
    assert completed.engine_seconds >= 0


async def test_the_owner_sees_the_work_begin_and_nothing_after_its_end(
    service: ExtractionService, publisher: MemoryPublisher, uploaded: Callable[..., Any]
) -> None:
    request = await uploaded()

    await service.extract(request)

    first, *_, last = publisher.events
    assert isinstance(first, DocumentOcrProgressed)
    assert (first.done, first.total, first.unit) == (0, 2, "page")
    # Three steps within a second are told once.
    assert len(publisher.of(DocumentOcrProgressed)) == 1
    assert isinstance(last, DocumentOcrCompleted)


async def test_a_request_that_comes_twice_is_read_once_and_answered_under_one_id(
    service: ExtractionService, publisher: MemoryPublisher, fake: FakeEngine, uploaded: Callable[..., Any]
) -> None:
    request = await uploaded()

    await service.extract(request)
    await service.extract(request)

    first, second = publisher.of(DocumentOcrCompleted)
    assert first.event_id == second.event_id == derived_id(request.event_id, DocumentOcrCompleted.ROUTING_KEY)
    moving = {"occurred_at", "engine_seconds"}
    assert first.model_dump(exclude=moving) == second.model_dump(exclude=moving)
    assert len(fake.read) == 1


async def test_a_broken_result_of_an_earlier_delivery_is_made_again(
    service: ExtractionService, storage: MemoryObjectStorage, fake: FakeEngine, uploaded: Callable[..., Any]
) -> None:
    request = await uploaded()
    key = f"results/{request.document_id}/{request.event_id}.json"
    await storage.put_bytes(key, b'{"document_id": "', "application/json")

    await service.extract(request)

    assert len(fake.read) == 1
    OcrResult.model_validate_json(storage.objects[key])


async def test_another_run_of_the_same_document_is_read_again(
    service: ExtractionService, publisher: MemoryPublisher, fake: FakeEngine, uploaded: Callable[..., Any]
) -> None:
    request = await uploaded()
    again = request.model_copy(update={"event_id": new_id(), "attempt": 4})

    await service.extract(request)
    await service.extract(again)

    first, second = publisher.of(DocumentOcrCompleted)
    assert first.result_key != second.result_key
    assert len(fake.read) == 2


async def test_an_answer_that_was_not_taken_is_given_again_without_reading_again(
    service: ExtractionService, publisher: MemoryPublisher, fake: FakeEngine, uploaded: Callable[..., Any]
) -> None:
    request = await uploaded()
    publisher.refusals = 2  # the progress, and the answer

    with pytest.raises(UnavailableError):
        await service.extract(request)
    await service.extract(request)

    assert len(publisher.of(DocumentOcrCompleted)) == 1
    assert len(fake.read) == 1


async def test_no_confidence_is_none_and_not_zero(
    service: ExtractionService, publisher: MemoryPublisher, fake: FakeEngine, uploaded: Callable[..., Any]
) -> None:
    fake.confidences = (None, None)

    await service.extract(await uploaded())

    assert publisher.of(DocumentOcrCompleted)[0].confidence is None


@pytest.mark.parametrize(
    ("error", "retryable"),
    [(InputError("password_protected", "It is locked."), False), (EngineError("engine_crashed", "Again.", True), True)],
)
async def test_a_document_that_cannot_be_read_ends_as_failed(
    service: ExtractionService,
    storage: MemoryObjectStorage,
    publisher: MemoryPublisher,
    fake: FakeEngine,
    uploaded: Callable[..., Any],
    error: EngineError,
    retryable: bool,
) -> None:
    fake.error = error
    request = await uploaded()

    await service.extract(request)
    await service.extract(request)

    first, second = publisher.of(DocumentOcrFailed)
    assert (first.code, first.detail, first.retryable) == (error.code, error.detail, retryable)
    assert first.event_id == second.event_id
    assert list(storage.objects) == [request.object_key]


async def test_an_engine_that_is_not_here_is_named(
    service: ExtractionService, publisher: MemoryPublisher, uploaded: Callable[..., Any]
) -> None:
    await service.extract(await uploaded(engine="crystal-ball"))

    [failed] = publisher.of(DocumentOcrFailed)
    assert failed.code == "engine_unavailable"
    assert "crystal-ball" in failed.detail


async def test_a_file_that_is_gone_ends_as_failed(service: ExtractionService, publisher: MemoryPublisher) -> None:
    await service.extract(a_request())

    assert publisher.of(DocumentOcrFailed)[0].code == "file_missing"


async def test_a_document_that_takes_too_long_is_stopped_and_ends_as_failed(
    storage: MemoryObjectStorage, publisher: MemoryPublisher, fake: FakeEngine, uploaded: Callable[..., Any]
) -> None:
    fake.hang = True
    # Enough for the engine to be reached.
    service = ExtractionService(storage, {"local": fake}, publisher, WorkRules(default_engine="local", job_seconds=1))

    await service.extract(await uploaded())

    assert publisher.of(DocumentOcrFailed)[0].code == "timeout"
    assert fake.stopped


@pytest.mark.parametrize("error", [UnavailableError("no worker"), OSError("no space left")])
async def test_a_fault_of_ours_is_not_blamed_on_the_document(
    service: ExtractionService,
    publisher: MemoryPublisher,
    fake: FakeEngine,
    uploaded: Callable[..., Any],
    error: Exception,
) -> None:
    fake.error = error

    with pytest.raises(type(error)):
        await service.extract(await uploaded())

    assert publisher.of(DocumentOcrFailed) == []


async def test_the_owner_is_told_when_we_give_up(service: ExtractionService, publisher: MemoryPublisher) -> None:
    request = a_request()

    await service.give_up(request, InvalidError("something inside"))

    [failed] = publisher.of(DocumentOcrFailed)
    assert (failed.code, failed.retryable) == ("engine_unavailable", True)
    assert "something inside" not in failed.detail
