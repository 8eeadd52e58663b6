"""A request that Google works on, from its delivery to its answer."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from alta_common.contracts.event import Event
from alta_common.contracts.projects import VoiceTranscriptionCancelled, VoiceTranscriptionRequested
from alta_common.contracts.results import TranscriptResult, cancellation_key
from alta_common.contracts.transcription import VoiceTranscriptionCompleted, VoiceTranscriptionProgressed
from alta_common.engines.rules import WorkRules
from alta_common.messaging.failures import UnfinishedError
from alta_common.testing.waiting import eventually
from alta_emulators.speech_testing import EmulatedSpeech
from alta_transcription.application.transcription import TranscriptionService

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = 3600.0


class Published:
    def __init__(self) -> None:
        self.events: list[Event] = []

    async def publish(self, event: Event) -> None:
        self.events.append(event)

    @property
    def answers(self) -> list[Event]:
        return [event for event in self.events if not isinstance(event, VoiceTranscriptionProgressed)]


@pytest.fixture
def published() -> Published:
    return Published()


def a_process(
    google: EmulatedSpeech, published: Published, slice_seconds: float = HOUR, job_seconds: float = HOUR
) -> TranscriptionService:
    """The use case as a process has it that has just started."""
    rules = WorkRules(default_engine="google-speech", job_seconds=job_seconds, slice_seconds=slice_seconds)
    return TranscriptionService(google.bucket, {"google-speech": google.through_storage()}, published, rules)


async def test_a_call_that_google_has_is_told_by_channels_to_whoever_waits_for_it(
    google: EmulatedSpeech, published: Published, a_request: Callable[..., VoiceTranscriptionRequested], wav, pcm
) -> None:
    request = a_request(channels="separate")
    both = b"".join(pcm[at : at + 2] + bytes(2) for at in range(0, len(pcm), 2))
    await google.bucket.put_bytes(request.object_key, wav(both, channels=2), "audio/wav")
    google.operations.hold()
    interrupted = asyncio.ensure_future(a_process(google, published).transcribe(request))
    await eventually(lambda: google.faults.calls["GetOperation"] > 0)
    interrupted.cancel()
    await asyncio.wait([interrupted])
    google.operations.release()

    await a_process(google, published).transcribe(request)

    (answer,) = published.answers
    assert isinstance(answer, VoiceTranscriptionCompleted)
    result = TranscriptResult.model_validate_json(await google.bucket.read(answer.result_key))
    assert [segment.speaker for segment in result.segments] == ["channel 1", "channel 2"]


@pytest.fixture
def delivered(google: EmulatedSpeech, clip: Path, a_request: Callable[..., VoiceTranscriptionRequested]):
    async def store() -> VoiceTranscriptionRequested:
        request = a_request()
        await google.bucket.put_file(request.object_key, clip, "audio/wav")
        return request

    return store


async def kept(google: EmulatedSpeech, request: VoiceTranscriptionRequested) -> list[str]:
    """What lies in the bucket besides the original and the result."""
    of_work = await google.bucket.keys_below("work")
    of_results = await google.bucket.keys_below(f"results/{request.voice_sample_id}")
    mine = [key for key in of_work if str(request.voice_sample_id) in key]
    return mine + [key for key in of_results if not key.endswith(f"/{request.event_id}.json")]


async def test_work_that_takes_several_slices_is_begun_once(
    google: EmulatedSpeech, published: Published, delivered
) -> None:
    request = await delivered()
    google.operations.hold()
    slices = 0

    while True:
        slices += 1
        try:
            await a_process(google, published, slice_seconds=2.0 * slices).transcribe(request)
            break
        except UnfinishedError:
            # Another process takes it; meanwhile Google goes on.
            if google.operations.started:
                google.operations.release()

    assert slices > 1
    assert len(google.operations.started) == 1
    assert google.operations.cancelled == []
    (answer,) = published.answers
    assert isinstance(answer, VoiceTranscriptionCompleted)
    assert (answer.engine_name, answer.duration_ms) == ("google-speech", 5000)
    assert await kept(google, request) == []


async def test_a_recording_that_google_has_is_neither_fetched_nor_decoded_again(
    google: EmulatedSpeech, published: Published, delivered
) -> None:
    request = await delivered()
    google.operations.hold()
    interrupted = asyncio.ensure_future(a_process(google, published).transcribe(request))
    await eventually(lambda: google.faults.calls["GetOperation"] > 0)
    interrupted.cancel()
    await asyncio.wait([interrupted])
    await google.bucket.delete(request.object_key)
    google.operations.release()

    await a_process(google, published).transcribe(request)

    (answer,) = published.answers
    assert isinstance(answer, VoiceTranscriptionCompleted)
    assert (answer.duration_ms, len(google.operations.started)) == (5000, 1)
    assert await kept(google, request) == []


async def test_the_time_that_google_takes_is_not_counted_against_the_recording(
    google: EmulatedSpeech, published: Published, delivered
) -> None:
    request = await delivered()
    google.operations.hold()
    interrupted = asyncio.ensure_future(a_process(google, published).transcribe(request))
    await eventually(lambda: google.faults.calls["GetOperation"] > 0)
    interrupted.cancel()
    await asyncio.wait([interrupted])

    with pytest.raises(UnfinishedError):
        await a_process(google, published, slice_seconds=3, job_seconds=2).transcribe(request)

    assert published.answers == []
    google.operations.release()
    await a_process(google, published, job_seconds=20).transcribe(request)
    assert isinstance(published.answers[0], VoiceTranscriptionCompleted)


async def test_a_cancelled_request_is_cancelled_at_google(
    google: EmulatedSpeech, published: Published, delivered
) -> None:
    request = await delivered()
    google.operations.hold()
    process = a_process(google, published)
    work = asyncio.ensure_future(process.transcribe(request))
    await eventually(lambda: google.faults.calls["GetOperation"] > 0)

    await process.cancel(
        VoiceTranscriptionCancelled(
            voice_sample_id=request.voice_sample_id,
            project_id=request.project_id,
            attempt=request.attempt,
            reason="cancelled",
        )
    )
    await work

    assert published.answers == []
    assert google.operations.cancelled == google.operations.started
    assert await kept(google, request) == []


async def test_a_request_that_was_cancelled_between_two_deliveries_is_cancelled_at_google(
    google: EmulatedSpeech, published: Published, delivered
) -> None:
    request = await delivered()
    google.operations.hold()
    interrupted = asyncio.ensure_future(a_process(google, published).transcribe(request))
    await eventually(lambda: google.faults.calls["GetOperation"] > 0)
    interrupted.cancel()
    await asyncio.wait([interrupted])
    await google.bucket.put_bytes(
        cancellation_key(request.voice_sample_id, request.attempt), b"", "application/octet-stream"
    )

    await a_process(google, published).transcribe(request)

    assert published.answers == []
    assert google.operations.cancelled == google.operations.started
