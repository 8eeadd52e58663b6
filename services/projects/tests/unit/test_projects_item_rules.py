"""An item's state keeps its rules in whatever order events come."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from alta_common.clock import utc_now
from alta_common.contracts.ocr import DocumentOcrCompleted, DocumentOcrFailed, DocumentOcrProgressed
from alta_common.contracts.transcription import VoiceTranscriptionCompleted
from alta_common.ids import new_id
from alta_projects.models.document import Document
from alta_projects.models.item_errors import (
    AlreadyFinishedError,
    ProcessingCancelledError,
    ProcessingFailedError,
    ResultNotReadyError,
    StillProcessingError,
)
from alta_projects.models.media_item import ItemStatus
from alta_projects.models.original import Original
from alta_projects.models.reading import Reading, Wishes
from alta_projects.models.voice_sample import VoiceSample

FILE = Original("a", "application/pdf", 5, "0" * 64, {})
AT_ONCE = Reading(None, None, utc_now() + timedelta(hours=1))


def a_document() -> Document:
    return Document.queued(new_id(), new_id(), FILE, Wishes(), AT_ONCE, is_copy=False, created_by=new_id())


def about(document: Document, attempt: int = 1) -> dict[str, Any]:
    ids = {"document_id": document.id, "project_id": document.project_id, "request_event_id": new_id()}
    return {**ids, "attempt": attempt}


def progressed(document: Document, done: int, attempt: int = 1) -> DocumentOcrProgressed:
    return DocumentOcrProgressed(**about(document, attempt), done=done, total=3, unit="page")


def completed(document: Document, attempt: int = 1, key: str = "results/a/b.json") -> DocumentOcrCompleted:
    facts = {"result_sha256": "1" * 64, "result_bytes": 9, "engine_name": "rapidocr", "engine_version": "3"}
    return DocumentOcrCompleted(**about(document, attempt), **facts, result_key=key, pages=3, engine_seconds=1)


def failed(document: Document, attempt: int = 1) -> DocumentOcrFailed:
    return DocumentOcrFailed(**about(document, attempt), code="timeout", detail="It took too long.", retryable=True)


def test_the_order_of_progress_and_completion_does_not_matter() -> None:
    for order in permutations(range(4)):
        document = a_document()
        steps = [progressed(document, 1), progressed(document, 2), progressed(document, 3), completed(document)]

        for place in order:
            event = steps[place]
            if isinstance(event, DocumentOcrCompleted):
                document.complete(event)
            else:
                document.start(event)

        assert document.status is ItemStatus.COMPLETED
        assert (document.progress_done, document.progress_total, document.pages) == (3, 3, 3)


def test_progress_never_goes_back() -> None:
    document = a_document()

    assert document.start(progressed(document, 0))
    assert document.start(progressed(document, 2))
    assert not document.start(progressed(document, 1))
    assert not document.start(progressed(document, 2))

    assert (document.status, document.progress_done) == (ItemStatus.PROCESSING, 2)


def test_a_total_of_nothing_is_not_known_yet() -> None:
    document = a_document()
    unknown = progressed(document, 0).model_copy(update={"total": 0})

    assert document.start(unknown)
    assert document.progress_total is None
    assert document.start(progressed(document, 0))
    assert not document.start(unknown)

    assert (document.progress_done, document.progress_total) == (0, 3)


def test_the_first_result_of_an_attempt_counts() -> None:
    document = a_document()

    assert document.complete(completed(document, key="results/a/first.json"))
    assert not document.complete(completed(document, key="results/a/second.json"))

    assert document.require_result() == "results/a/first.json"
    assert document.revision == 1


@pytest.mark.parametrize("attempt", [1, 3])
def test_events_of_another_attempt_have_no_effect(attempt: int) -> None:
    document = a_document()
    document.attempt = 2
    version = document.version

    assert not document.start(progressed(document, 1, attempt))
    assert not document.complete(completed(document, attempt))
    assert not document.fail(failed(document, attempt))

    assert (document.status, document.version) == (ItemStatus.QUEUED, version)


def test_a_failure_after_completion_has_no_effect() -> None:
    document = a_document()
    document.complete(completed(document))

    assert not document.fail(failed(document))

    assert document.error_code is None


def test_a_result_after_a_failure_heals_it() -> None:
    document = a_document()
    document.fail(failed(document))

    assert document.complete(completed(document))

    assert (document.status, document.error_code) == (ItemStatus.COMPLETED, None)


def test_progress_after_a_failure_does_not_reopen_it() -> None:
    document = a_document()
    document.fail(failed(document))

    assert not document.start(progressed(document, 1))


def test_there_is_no_result_before_completion_and_none_after_failure() -> None:
    document = a_document()
    with pytest.raises(ResultNotReadyError, match="queued"):
        document.require_result()

    document.fail(failed(document))

    with pytest.raises(ProcessingFailedError, match="It took too long"):
        document.require_result()


def test_a_transcript_brings_the_duration() -> None:
    sample = VoiceSample.queued(new_id(), new_id(), FILE, Wishes(), AT_ONCE, is_copy=False, created_by=new_id())
    event = VoiceTranscriptionCompleted(
        voice_sample_id=sample.id,
        project_id=sample.project_id,
        request_event_id=new_id(),
        result_key="results/a/b.json",
        result_sha256="1" * 64,
        result_bytes=9,
        engine_name="faster-whisper",
        engine_version="1",
        duration_ms=2_100,
        engine_seconds=1,
    )

    sample.complete(event)

    assert (sample.duration_ms, sample.progress_done, sample.progress_total) == (2_100, 3, 3)


def test_each_kind_asks_its_own_engine() -> None:
    document = a_document()
    in_german = Reading("local", "de", utc_now() + timedelta(hours=1))
    sample = VoiceSample.queued(new_id(), new_id(), FILE, Wishes(), in_german, is_copy=False, created_by=new_id())

    assert (document.request().TYPE, document.request().object_key) == ("DOCUMENT_OCR_REQUESTED", document.object_key)
    asked = sample.request()
    assert (asked.TYPE, asked.engine, asked.language) == ("VOICE_TRANSCRIPTION_REQUESTED", "local", "de")
    assert asked.deadline_at == sample.deadline_at is not None
    for item in (document, sample):
        cancelled = item.cancellation("deleted")
        assert (cancelled.aggregate_id, cancelled.attempt, cancelled.reason) == (item.id, 1, "deleted")


def again(document: Document, engine: str | None = "local") -> None:
    document.read_again(Wishes(engine), Reading(engine, "de", utc_now() + timedelta(hours=1)))


def test_a_run_that_is_cancelled_ends_whatever_comes_late() -> None:
    document = a_document()
    document.start(progressed(document, 1))

    assert document.cancel()
    assert not document.cancel()
    assert not document.start(progressed(document, 2))
    assert not document.complete(completed(document))
    assert not document.fail(failed(document))

    assert (document.status, document.revision, document.error_code) == (ItemStatus.CANCELLED, 0, None)
    with pytest.raises(ProcessingCancelledError):
        document.require_result()


def test_what_has_ended_cannot_be_cancelled() -> None:
    read, broken = a_document(), a_document()
    read.complete(completed(read))
    broken.fail(failed(broken))

    for document in (read, broken):
        with pytest.raises(AlreadyFinishedError, match=document.status.value):
            document.cancel()


def test_the_last_result_stays_while_a_document_is_read_again_and_when_that_fails() -> None:
    document = a_document()
    document.complete(completed(document, key="results/a/first.json"))

    again(document)

    assert (document.status, document.attempt, document.engine, document.language) == ("queued", 2, "local", "de")
    assert (document.confidence, document.progress_done, document.completed_at) == (None, 0, None)
    assert document.require_result() == "results/a/first.json"
    document.fail(failed(document, attempt=2))
    assert document.require_result() == "results/a/first.json"
    again(document)
    document.cancel()
    assert document.require_result() == "results/a/first.json"
    again(document)
    document.complete(completed(document, attempt=4, key="results/a/second.json"))
    assert (document.require_result(), document.revision) == ("results/a/second.json", 2)


def test_a_document_is_not_read_twice_at_once() -> None:
    document = a_document()
    with pytest.raises(StillProcessingError, match="queued"):
        again(document)
    document.start(progressed(document, 1))

    with pytest.raises(StillProcessingError, match="processing"):
        again(document)

    assert document.attempt == 1


def test_a_late_answer_of_the_run_before_has_no_effect() -> None:
    document = a_document()
    document.cancel()
    again(document)

    assert not document.start(progressed(document, 2))
    assert not document.complete(completed(document))
    assert not document.fail(failed(document))

    assert (document.status, document.progress_done, document.result_key) == (ItemStatus.QUEUED, 0, None)


def test_a_failure_waits_to_be_told_until_it_is_none_any_more() -> None:
    for change in (again, lambda document: document.complete(completed(document))):
        document = a_document()
        document.fail(failed(document))
        assert document.untold_failure_at == document.updated_at

        change(document)

        assert document.untold_failure_at is None


def test_time_that_has_run_out_is_a_failure_that_may_be_tried_again() -> None:
    document = a_document()

    document.run_out_of_time()

    assert (document.status, document.error_code, document.error_retryable) == (ItemStatus.FAILED, "timeout", True)
    again(document)
    assert document.error_code is None
