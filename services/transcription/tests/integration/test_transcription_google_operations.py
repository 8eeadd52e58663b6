"""Long recordings: what is done when an operation at Google ends well, fails, or outlives the process that began it."""

import asyncio
import io
import wave
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import grpc
import pytest

from alta_common.engines.operations import NoOperations, OperationStore, RemoteOperation
from alta_common.engines.port import EngineError
from alta_common.errors import UnavailableError
from alta_common.testing.waiting import eventually
from alta_emulators.faults import Hang, Pause, RefusedError
from alta_emulators.speech_testing import BUCKET, HASTY, EmulatedSpeech, heard
from alta_transcription.engines.engine import SpeechOptions

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNAVAILABLE = RefusedError(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")


def seconds_of(heard_wav: bytes) -> float:
    with wave.open(io.BytesIO(heard_wav)) as file:
        return file.getnframes() / file.getframerate()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_recording_of_more_than_a_minute_goes_through_storage(
    google: EmulatedSpeech, operations: OperationStore, tmp_path: Path, wav, pcm
) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(wav(pcm * 13))

    transcription = await heard(google.engine(), path, operations)

    assert google.faults.calls["Recognize"] == 0
    assert google.faults.calls["BatchRecognize"] == 1
    assert transcription.text == "hello there"
    assert transcription.duration_ms == 65_000
    (request,) = google.service.requests
    assert request.files[0].uri == f"gs://{BUCKET}/{operations.folder}/audio.flac"
    assert seconds_of(google.backend.heard[0][0]) == 65
    assert await google.objects(operations) == []
    assert names_in(tmp_path) == ["long.wav"]


async def test_progress_is_told_in_seconds(google: EmulatedSpeech, clip: Path) -> None:
    google.operations.hold()
    told: list[tuple[float, float]] = []

    def progress(done: float, total: float) -> None:
        told.append((done, total))
        google.operations.release()

    await heard(google.through_storage(), clip, progress=progress)

    assert told[0] == (0, 5)
    assert told[-1] == (5, 5)


async def test_what_the_operation_tells_of_itself_is_progress(google: EmulatedSpeech, clip: Path) -> None:
    half_way, go_on = asyncio.Event(), asyncio.Event()

    async def hear(wav: bytes, language: str, percent: Callable[[int], None]) -> list:
        percent(40)
        half_way.set()
        await go_on.wait()
        return []

    google.backend.hear = hear

    def progress(done: float, total: float) -> None:
        if (done, total) == (2, 5):
            go_on.set()

    async with asyncio.timeout(60):
        await heard(google.through_storage(), clip, progress=progress)

    assert half_way.is_set()


async def test_a_file_that_fails_in_an_operation_that_went_well(
    google: EmulatedSpeech, operations: OperationStore, clip: Path
) -> None:
    google.backend.error = RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "Unable to decode the audio content.")

    with pytest.raises(EngineError) as refusal:
        await heard(google.through_storage(), clip, operations)

    assert refusal.value.code == "corrupt_file"
    assert await operations.find("speech") is None
    assert await google.objects(operations) == []


async def test_an_operation_that_failed_is_begun_again_next_time(
    google: EmulatedSpeech, operations: OperationStore, clip: Path
) -> None:
    engine = google.through_storage()
    google.backend.error = RefusedError(grpc.StatusCode.INTERNAL, "Internal error encountered.")
    with pytest.raises(UnavailableError):
        await heard(engine, clip, operations)
    google.backend.error = None

    transcription = await heard(engine, clip, operations)

    assert transcription.text == "hello there"
    assert len(google.operations.started) == 2


async def interrupted(google: EmulatedSpeech, operations: OperationStore, clip: Path) -> None:
    """Let a process begin an operation, and stop while it waits."""
    google.operations.hold()
    work = asyncio.ensure_future(heard(google.through_storage(), clip, operations))

    async def is_remembered() -> bool:
        return bool(operations.parts) and google.faults.calls["GetOperation"] > 0

    await eventually(is_remembered)
    work.cancel()
    await asyncio.wait([work])


def ids_of(operations: OperationStore) -> tuple[UUID, UUID]:
    _, item_id, event_id = operations.folder.split("/")
    return UUID(item_id), UUID(event_id)


async def test_a_restarted_process_waits_for_the_operation_of_the_first(
    google: EmulatedSpeech, operations: OperationStore, clip: Path
) -> None:
    await interrupted(google, operations, clip)
    google.operations.release()
    again = OperationStore(google.bucket, *ids_of(operations))

    transcription = await heard(google.through_storage(), clip, again)

    assert transcription.text == "hello there"
    assert len(google.operations.started) == 1
    assert google.faults.calls["BatchRecognize"] == 1
    assert google.operations.cancelled == []
    await again.clear_all()
    assert await operations.find("speech") is None


async def test_a_process_that_is_stopped_while_google_begins_still_notes_what_it_pays_for(
    google: EmulatedSpeech, operations: OperationStore, clip: Path
) -> None:
    google.operations.hold()
    begun = asyncio.Event()
    google.faults.plan("BatchRecognize", Pause(begun))
    work = asyncio.ensure_future(heard(google.through_storage(), clip, operations))
    await eventually(lambda: google.faults.calls["BatchRecognize"] == 1)

    work.cancel()
    begun.set()
    with pytest.raises(asyncio.CancelledError):
        await work

    noted = await operations.find("speech")
    assert noted is not None
    assert [noted.name] == google.operations.started
    assert await google.objects(operations) != []


async def test_an_operation_that_cannot_be_asked_for_goes_on(
    google: EmulatedSpeech, operations: OperationStore, clip: Path
) -> None:
    await interrupted(google, operations, clip)
    google.faults.plan("GetOperation", *[Hang()] * 20)
    with pytest.raises(UnavailableError):
        await heard(google.through_storage(HASTY), clip, operations)
    google.faults.mend("GetOperation")
    google.faults.plan("GetOperation", UNAVAILABLE)
    google.operations.release()

    transcription = await heard(google.through_storage(), clip, operations)

    assert transcription.text == "hello there"
    assert len(google.operations.started) == 1


async def test_an_operation_that_google_has_forgotten_is_begun_again(
    google: EmulatedSpeech, operations: OperationStore, clip: Path
) -> None:
    forgotten = RemoteOperation(
        name="projects/test/locations/eu/operations/99", started_at="2026-11-20T10:00:00Z", inputs=("gs://x/y",)
    )
    await operations.save("speech", forgotten)

    transcription = await heard(google.through_storage(), clip, operations)

    assert transcription.text == "hello there"
    assert len(google.operations.started) == 1


async def test_work_that_nobody_wants_any_more_is_cancelled_at_google(
    google: EmulatedSpeech, operations: OperationStore, clip: Path
) -> None:
    await interrupted(google, operations, clip)
    assert await google.objects(operations) != []
    again = OperationStore(google.bucket, *ids_of(operations))

    await google.engine().abandon(SpeechOptions(operations=again))

    assert google.operations.cancelled == google.operations.started
    assert await google.objects(operations) == []
    assert await operations.find("speech") is None


class Forgetful(NoOperations):
    """Cannot remember anything."""

    async def save(self, _part: str, _operation: RemoteOperation) -> None:
        raise UnavailableError("the storage is away")


async def test_an_operation_that_cannot_be_remembered_does_not_go_on(google: EmulatedSpeech, clip: Path) -> None:
    google.operations.hold()
    operations = Forgetful()

    with pytest.raises(UnavailableError, match="storage is away"):
        await heard(google.through_storage(), clip, operations)

    assert google.operations.cancelled == google.operations.started
    assert await google.objects(operations) == []
