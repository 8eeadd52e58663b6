"""Long documents through Document AI's batches: what is paid once, what is left behind, what is told of failures."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest

from alta_common.contracts.results import Page
from alta_common.engines.checkpoints import Checkpoint, StoredCheckpoint
from alta_common.engines.operations import NoOperations, OperationStore, RemoteOperation
from alta_common.engines.port import EngineError, SourceFile
from alta_common.errors import UnavailableError
from alta_common.ids import new_id
from alta_common.testing import eventually
from alta_emulators.faults import Pause, RefusedError
from alta_ocr.engines.documentai import DocumentAiEngine
from alta_ocr.engines.engine import DocumentReading, OcrOptions

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIMIT = 20
"""Pages; longer documents are read in a batch here."""


class Request:
    """A request that may come more than once, with what is remembered of it."""

    def __init__(self, google: Any) -> None:
        self._google = google
        self._ids: tuple[UUID, UUID] = (new_id(), new_id())

    @property
    def options(self) -> OcrOptions:
        """What a delivery of the request brings."""
        return OcrOptions(operations=OperationStore(self._google.bucket, *self._ids), checkpoint=self.checkpoint)

    @property
    def checkpoint(self) -> Checkpoint:
        return StoredCheckpoint(self._google.bucket, *self._ids).of("documentai")

    async def read(self, engine: DocumentAiEngine, path: Path) -> DocumentReading:
        return await engine.recognize(SourceFile(path, "application/pdf"), self.options, lambda *_: None)

    async def operation(self) -> str | None:
        found = await self.options.operations.find("batch")
        return found.name if found else None

    async def left_behind(self) -> list[str]:
        return await self._google.bucket.keys_below(self.options.operations.folder)


@pytest.fixture
def owed(google: Any) -> Request:
    return Request(google)


@pytest.fixture
def long_pdf(pdf_file: Callable[..., Path]) -> Callable[[int], Path]:
    return lambda count: pdf_file(*[(f"This is page {number}.",) for number in range(1, count + 1)])


def numbers_in(reading: DocumentReading) -> list[tuple[int, str]]:
    return [(Page.model_validate_json(page.content).number, page.text) for page in reading.pages]


def expected(count: int) -> list[tuple[int, str]]:
    return [(number, f"This is page {number}.") for number in range(1, count + 1)]


async def test_a_book_comes_back_in_order_from_many_files_and_shards(
    google: Any, serve: Any, owed: Request, long_pdf: Callable[[int], Path]
) -> None:
    service = await serve()

    reading = await owed.read(google.engine(batch_pages=LIMIT, batch_file_pages=70), long_pdf(130))

    [request] = service.requests
    assert numbers_in(reading) == expected(130)
    assert (reading.engine.name, reading.language, reading.warnings) == ("documentai", "en", [])
    assert len(request.input_documents.gcs_documents.documents) == 2
    assert request.document_output_config.gcs_output_config.sharding_config.pages_per_shard == 50
    assert await owed.left_behind() == []
    assert await owed.operation() is None


async def test_a_restarted_process_waits_for_the_operation_that_is_paid_for(
    google: Any, serve: Any, owed: Request, long_pdf: Callable[[int], Path]
) -> None:
    await serve()
    google.operations.hold()
    path = long_pdf(LIMIT + 1)
    first = asyncio.create_task(owed.read(google.engine(batch_pages=LIMIT), path))
    await eventually(lambda: google.faults.calls["GetOperation"] > 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    google.operations.release()
    reading = await owed.read(google.engine(batch_pages=LIMIT), path)

    assert numbers_in(reading) == expected(LIMIT + 1)
    assert len(google.operations.started) == 1
    assert google.operations.cancelled == []
    assert await owed.left_behind() == []


async def test_a_batch_that_goes_on_is_waited_for_without_the_document(
    google: Any, serve: Any, owed: Request, long_pdf: Callable[[int], Path]
) -> None:
    await serve()
    assert await google.engine(batch_pages=LIMIT).resume(owed.options, lambda *_: None) is None
    google.operations.hold()
    first = asyncio.create_task(owed.read(google.engine(batch_pages=LIMIT), long_pdf(LIMIT + 1)))
    await eventually(lambda: google.faults.calls["GetOperation"] > 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    google.operations.release()
    steps: list[tuple[int, int]] = []
    reading = await google.engine(batch_pages=LIMIT).resume(owed.options, lambda *step: steps.append(step))

    assert reading is not None
    assert numbers_in(reading) == expected(LIMIT + 1)
    assert (reading.engine.name, reading.language) == ("documentai", "en")
    assert steps == [(0, LIMIT + 1), (LIMIT + 1, LIMIT + 1)]
    assert len(google.operations.started) == 1
    assert await owed.left_behind() == []
    assert await owed.operation() is None


async def test_a_process_that_is_stopped_while_google_begins_still_notes_what_it_pays_for(
    google: Any, serve: Any, owed: Request, long_pdf: Callable[[int], Path]
) -> None:
    await serve()
    begun = asyncio.Event()
    google.faults.plan("BatchProcessDocuments", Pause(begun))
    reading = asyncio.create_task(owed.read(google.engine(batch_pages=LIMIT), long_pdf(LIMIT + 1)))
    await eventually(lambda: google.faults.calls["BatchProcessDocuments"] == 1)

    reading.cancel()
    begun.set()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert [await owed.operation()] == google.operations.started


class Forgetful(NoOperations):
    """Cannot remember anything."""

    async def save(self, _part: str, _operation: RemoteOperation) -> None:
        raise UnavailableError("the storage is away")


async def test_an_operation_that_cannot_be_noted_does_not_go_on(
    google: Any, serve: Any, long_pdf: Callable[[int], Path]
) -> None:
    await serve()
    google.operations.hold()
    source = SourceFile(long_pdf(LIMIT + 1), "application/pdf")

    with pytest.raises(UnavailableError, match="storage is away"):
        await google.engine(batch_pages=LIMIT).recognize(source, OcrOptions(operations=Forgetful()), lambda *_: None)

    assert google.operations.cancelled == google.operations.started


async def test_what_a_batch_has_read_outlives_a_crash_before_the_result_is_stored(
    google: Any, serve: Any, owed: Request, long_pdf: Callable[[int], Path]
) -> None:
    await serve()
    path = long_pdf(LIMIT + 1)
    await owed.read(google.engine(batch_pages=LIMIT), path)

    reading = await owed.read(google.engine(batch_pages=LIMIT), path)

    assert numbers_in(reading) == expected(LIMIT + 1)
    assert len(google.operations.started) == 1


async def test_giving_up_ends_the_operation_and_removes_the_copies(
    google: Any, serve: Any, owed: Request, long_pdf: Callable[[int], Path]
) -> None:
    await serve()
    google.operations.hold()
    engine = google.engine(batch_pages=LIMIT)
    reading = asyncio.create_task(owed.read(engine, long_pdf(LIMIT + 1)))
    await eventually(lambda: google.faults.calls["GetOperation"] > 1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await owed.left_behind() != []

    await engine.abandon(owed.options)

    assert google.operations.cancelled == google.operations.started
    assert await owed.left_behind() == []
    assert await owed.operation() is None


async def test_an_operation_that_google_has_forgotten_is_begun_again(
    google: Any, serve: Any, owed: Request, long_pdf: Callable[[int], Path]
) -> None:
    await serve()
    google.operations.hold()
    path = long_pdf(LIMIT + 1)
    first = asyncio.create_task(owed.read(google.engine(batch_pages=LIMIT), path))
    await eventually(lambda: google.faults.calls["GetOperation"] > 1)
    first.cancel()
    await asyncio.wait([first])
    google.operations.forget(google.operations.started[0])
    google.operations.release()

    reading = await owed.read(google.engine(batch_pages=LIMIT), path)

    assert numbers_in(reading) == expected(LIMIT + 1)
    assert len(google.operations.started) == 2


async def test_a_fault_of_the_file_is_told_in_our_terms(
    google: Any, serve: Any, owed: Request, long_pdf: Callable[[int], Path]
) -> None:
    await serve(batch_pages=LIMIT)

    with pytest.raises(EngineError) as failed:
        await owed.read(google.engine(batch_pages=LIMIT), long_pdf(LIMIT + 1))

    assert (failed.value.code, failed.value.retryable) == ("too_many_pages", False)
    assert await owed.left_behind() == []
    assert await owed.operation() is None


class Breaking:
    """Fails once with a fault that is not the file's."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._failed = False

    async def read(self, content: bytes, media_type: str) -> Any:
        if not self._failed:
            self._failed = True
            raise RefusedError(grpc.StatusCode.INTERNAL, "Internal error encountered.")
        return await self._backend.read(content, media_type)


@pytest.mark.parametrize("files", [1, 2])
async def test_an_operation_that_broke_down_is_begun_again_when_the_request_comes_back(
    google: Any, serve: Any, owed: Request, long_pdf: Callable[[int], Path], copyist: Any, files: int
) -> None:
    await serve(Breaking(copyist))
    path = long_pdf(LIMIT + 1)
    engine = google.engine(batch_pages=LIMIT, batch_file_pages=LIMIT if files > 1 else 500)

    with pytest.raises(UnavailableError):
        await owed.read(engine, path)
    reading = await owed.read(engine, path)

    assert numbers_in(reading) == expected(LIMIT + 1)
    assert len(google.operations.started) == 2


async def test_a_google_that_does_not_answer_for_a_while_costs_nothing(
    google: Any, serve: Any, owed: Request, long_pdf: Callable[[int], Path]
) -> None:
    await serve()
    unavailable = RefusedError(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")
    google.faults.plan("BatchProcessDocuments", unavailable)
    google.faults.plan("GetOperation", unavailable, unavailable)

    reading = await owed.read(google.engine(batch_pages=LIMIT), long_pdf(LIMIT + 1))

    assert numbers_in(reading) == expected(LIMIT + 1)
    assert len(google.operations.started) == 1


async def test_progress_stays_within_the_document_when_its_parts_turn_out_to_be_too_heavy(
    google: Any, serve: Any, long_pdf: Callable[[int], Path]
) -> None:
    await serve()
    heavy = RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "Request payload size exceeds the limit: 9 bytes.")
    # The first part is read; the second is refused, and so are its halves, down to a page.
    google.faults.plan("ProcessDocument", None, *[heavy] * 4)
    steps: list[tuple[int, int]] = []

    reading = await google.read(google.engine(at_once=1), long_pdf(30), steps)

    assert numbers_in(reading) == expected(30)
    assert steps == [(0, 30), (15, 30), (30, 30)]


async def test_without_a_bucket_a_long_document_is_read_in_parts(
    google: Any, serve: Any, owed: Request, long_pdf: Callable[[int], Path]
) -> None:
    service = await serve()

    reading = await owed.read(google.engine(batch_pages=LIMIT, with_bucket=False), long_pdf(31))

    assert numbers_in(reading) == expected(31)
    assert len(service.requests) == 3
