"""What goes wrong with Document AI: what is tried again, what is told to whom, and what is stopped."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from alta_common.engines.google.calls import Patience
from alta_common.engines.port import EngineError, InputError
from alta_common.errors import UnavailableError
from alta_common.testing import eventually
from alta_common.workers.pool import WorkerLimits, WorkerPool
from alta_emulators.faults import Hang, RefusedError

pytestmark = pytest.mark.asyncio(loop_scope="session")

MakePath = Callable[..., Path]

UNAVAILABLE = RefusedError(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")
EXHAUSTED = RefusedError(
    grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded for quota metric 'Online process requests'."
)


async def test_what_passes_is_tried_again(google: Any, serve: Any, pdf_file: MakePath) -> None:
    service = await serve()
    google.faults.plan("ProcessDocument", UNAVAILABLE, EXHAUSTED)

    reading = await google.read(google.engine(), pdf_file(("patience",)))

    assert reading.text == "patience"
    assert google.faults.calls["ProcessDocument"] == 3
    assert len(service.requests) == 1


async def test_what_lasts_is_left_to_the_queue(google: Any, serve: Any, pdf_file: MakePath) -> None:
    await serve()
    google.faults.plan("ProcessDocument", *[UNAVAILABLE] * 100)
    hasty = Patience(attempt_seconds=60, total_seconds=0.05, first_pause_seconds=0.01, longest_pause_seconds=0.01)

    with pytest.raises(UnavailableError, match="currently unavailable"):
        await google.read(google.engine(hasty), pdf_file(("x",)))


async def test_a_server_that_never_answers_is_given_up(google: Any, serve: Any, pdf_file: MakePath) -> None:
    await serve()
    google.faults.plan("ProcessDocument", Hang())
    hasty = Patience(attempt_seconds=0.2, total_seconds=0.1, first_pause_seconds=0.01, longest_pause_seconds=0.01)

    with pytest.raises(UnavailableError, match="DEADLINE_EXCEEDED"):
        await google.read(google.engine(hasty), pdf_file(("x",)))


@pytest.mark.parametrize(
    ("message", "code", "calls"),
    [
        ("Unsupported input file format.", "corrupt_file", 2),
        ("PDF is encrypted.", "password_protected", 1),
        ("Document pages exceed the limit: 15 got 16", "too_many_pages", 1),
        ("Something else about the file", "invalid_input", 1),
    ],
)
async def test_a_fault_of_the_file_is_told_in_our_terms(
    google: Any, serve: Any, pdf_file: MakePath, message: str, code: str, calls: int
) -> None:
    await serve()
    google.faults.plan("ProcessDocument", *[RefusedError(grpc.StatusCode.INVALID_ARGUMENT, message)] * calls)
    engine = google.engine()

    with pytest.raises(InputError) as failed:
        await google.read(engine, pdf_file(("x",)))

    assert (failed.value.code, failed.value.retryable) == (code, False)
    assert google.faults.calls["ProcessDocument"] == calls
    await engine.check()


async def test_a_file_that_google_cannot_open_is_written_anew_once(google: Any, serve: Any, pdf_file: MakePath) -> None:
    service = await serve()
    google.faults.plan(
        "ProcessDocument", RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "Unsupported input file format.")
    )
    path = pdf_file(("repaired",))

    reading = await google.read(google.engine(), path)

    assert reading.text == "repaired"
    assert service.requests[0].raw_document.content != path.read_bytes()


@pytest.mark.parametrize(
    "refusal",
    [
        RefusedError(grpc.StatusCode.PERMISSION_DENIED, "Permission 'documentai.processors.processOnline' denied"),
        RefusedError(grpc.StatusCode.UNAUTHENTICATED, "Request had invalid authentication credentials."),
        RefusedError(grpc.StatusCode.NOT_FOUND, "Processor not found"),
        RefusedError(grpc.StatusCode.FAILED_PRECONDITION, "Processor is disabled"),
        RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "Request contains an invalid argument."),
    ],
)
async def test_a_fault_of_the_deployment_is_not_the_files(
    google: Any, serve: Any, pdf_file: MakePath, refusal: RefusedError
) -> None:
    await serve()
    engine = google.engine()
    google.faults.plan("ProcessDocument", refusal)

    with pytest.raises(EngineError) as failed:
        await google.read(engine, pdf_file(("x",)))

    assert (failed.value.code, failed.value.retryable) == ("engine_unavailable", True)
    assert google.faults.calls["ProcessDocument"] == 1
    with pytest.raises(UnavailableError):
        await engine.check()
    await google.read(engine, pdf_file(("x",)))
    await engine.check()


async def test_a_broken_connection_shows_in_readiness(google: Any) -> None:
    google.address = "127.0.0.1:1"
    engine = google.engine()

    async def is_noticed() -> bool:
        try:
            await engine.check()
        except UnavailableError:
            return True
        return False

    await eventually(is_noticed)


async def test_without_workers_to_prepare_files_it_is_not_ready(google: Any, serve: Any) -> None:
    await serve()
    await google.engine().check()
    google.pool = WorkerPool("ocr", 1, WorkerLimits(job_seconds=60, step_seconds=60))

    with pytest.raises(UnavailableError, match="no ocr worker is ready"):
        await google.engine().check()


async def test_a_cancelled_document_ends_its_calls(google: Any, serve: Any, pdf_file: MakePath) -> None:
    await serve()
    google.faults.plan("ProcessDocument", *[Hang()] * 3)
    path = pdf_file(*[("three parts",)] * 40)
    reading = asyncio.create_task(google.read(google.engine(), path))
    await eventually(lambda: google.faults.calls["ProcessDocument"] == 3, what="three parts are under way")

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert not list(path.parent.glob("*.part-*"))
