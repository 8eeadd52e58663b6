"""Google's engine when Google does not answer, or says no."""

import os
import signal
from pathlib import Path

import grpc
import pytest

from alta_common.engines.port import EngineError
from alta_common.errors import UnavailableError
from alta_common.testing.waiting import eventually
from alta_common.workers.pool import WorkerPool
from alta_emulators.faults import Hang, RefusedError
from alta_emulators.speech_testing import HASTY, EmulatedSpeech, heard
from alta_transcription.engines.google_speech import GoogleSpeechLimits

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNAVAILABLE = RefusedError(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")
EXHAUSTED = RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded for quota metric 'Requests'.")


async def test_what_fails_for_a_moment_is_tried_again(google: EmulatedSpeech, clip: Path) -> None:
    google.faults.plan("Recognize", UNAVAILABLE, EXHAUSTED, UNAVAILABLE)

    transcription = await heard(google.engine(), clip)

    assert transcription.text == "hello there"
    assert google.faults.calls == {"Recognize": 4}


async def test_a_server_that_is_stuck_is_given_up_for_now(google: EmulatedSpeech, clip: Path) -> None:
    google.faults.plan("Recognize", *[Hang()] * 20)

    with pytest.raises(UnavailableError):
        await heard(google.engine(HASTY), clip)


async def test_a_server_that_is_not_there_is_given_up_for_now(google: EmulatedSpeech, clip: Path) -> None:
    engine = google.engine()
    google.address = "127.0.0.1:1"

    with pytest.raises(UnavailableError):
        await heard(google.engine(HASTY), clip)

    assert (await heard(engine, clip)).text == "hello there"


REFUSALS = [
    (grpc.StatusCode.INVALID_ARGUMENT, "Audio can be of a maximum of 60 seconds.", "audio_too_long"),
    (grpc.StatusCode.OUT_OF_RANGE, "Exceeded maximum allowed audio duration", "audio_too_long"),
    (grpc.StatusCode.PERMISSION_DENIED, "Permission 'speech.recognizers.recognize' denied", "engine_unavailable"),
    (grpc.StatusCode.NOT_FOUND, "Unable to find Recognizer", "engine_unavailable"),
    (grpc.StatusCode.INVALID_ARGUMENT, "Recognizer or config is missing decoding_config.", "engine_unavailable"),
    (grpc.StatusCode.INVALID_ARGUMENT, "Word confidence is not supported by the selected model", "engine_unavailable"),
    (grpc.StatusCode.INVALID_ARGUMENT, "Recognizer does not support feature: word_offsets", "engine_unavailable"),
]


@pytest.mark.parametrize(("status", "message", "code"), REFUSALS, ids=[row[1][:20] for row in REFUSALS])
async def test_what_cannot_go_better_is_not_tried_again(
    status: grpc.StatusCode, message: str, code: str, google: EmulatedSpeech, clip: Path
) -> None:
    google.faults.plan("Recognize", RefusedError(status, message))

    with pytest.raises(EngineError) as refusal:
        await heard(google.engine(), clip)

    assert refusal.value.code == code
    assert refusal.value.retryable is (code == "engine_unavailable")
    assert google.faults.calls == {"Recognize": 1}


UNDECODABLE = RefusedError(
    grpc.StatusCode.INVALID_ARGUMENT, "Audio data does not appear to be in a supported encoding."
)


async def test_an_original_that_google_does_not_decode_is_sent_again_as_we_have_decoded_it(
    google: EmulatedSpeech, clip: Path
) -> None:
    google.faults.plan("Recognize", UNDECODABLE)

    transcription = await heard(google.engine(), clip)

    assert transcription.text == "hello there"
    assert google.faults.calls == {"Recognize": 2}
    assert google.service.requests[-1].content.startswith(b"fLaC")


async def test_a_recording_that_google_does_not_decode_in_either_form_is_damaged(
    google: EmulatedSpeech, clip: Path
) -> None:
    google.faults.plan("Recognize", UNDECODABLE, UNDECODABLE)

    with pytest.raises(EngineError) as refusal:
        await heard(google.engine(), clip)

    assert (refusal.value.code, refusal.value.retryable) == ("corrupt_file", False)


async def test_a_language_of_the_deployment_that_google_does_not_know_is_nobodys_recording(
    google: EmulatedSpeech, clip: Path
) -> None:
    unknown = RefusedError(
        grpc.StatusCode.INVALID_ARGUMENT,
        'The language "xx-XX" is not supported by the model "long" in the location named "eu".',
    )
    google.faults.plan("Recognize", unknown)
    engine = google.engine()

    with pytest.raises(EngineError) as refusal:
        await heard(engine, clip)

    assert (refusal.value.code, refusal.value.retryable) == ("engine_unavailable", True)
    with pytest.raises(UnavailableError):
        await engine.check()
    await heard(engine, clip)
    await engine.check()


async def test_a_language_that_google_does_not_know_is_named(google: EmulatedSpeech, clip: Path) -> None:
    with pytest.raises(EngineError, match="language") as refusal:
        await heard(google.engine(), clip, language="tlh")

    assert refusal.value.code == "unsupported_language"


async def test_a_recording_that_is_too_long_is_refused_before_google_hears_it(
    google: EmulatedSpeech, clip: Path
) -> None:
    with pytest.raises(EngineError, match="longer than the 4 seconds") as refusal:
        await heard(google.engine(limits=GoogleSpeechLimits(max_audio_seconds=4)), clip)

    assert refusal.value.code == "audio_too_long"
    assert google.faults.calls == {}


async def test_the_engine_says_when_it_cannot_work(google: EmulatedSpeech) -> None:
    await google.engine().check()
    google.address = "127.0.0.1:1"
    engine = google.engine()

    async def says_no() -> bool:
        try:
            await engine.check()
        except UnavailableError:
            return True
        return False

    await eventually(says_no)


@pytest.mark.parametrize("crashes", [1, 2])
async def test_a_worker_that_crashes_while_it_decodes_costs_a_second_try(
    crashes: int, google: EmulatedSpeech, decoding: WorkerPool, tmp_path: Path, silent_flac
) -> None:
    # After five minutes of it, decoding tells for the first time how far it has come. The rest takes longer than the
    # kill, even where we come to it late.
    path = silent_flac(tmp_path / "silence.flac", 0.3)
    killed: set[int] = set()

    def kill(_done: float, _total: float) -> None:
        if len(killed) < crashes and (pid := decoding.pids[0]) not in killed:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)

    if crashes == 1:
        assert (await heard(google.engine(), path, progress=kill)).warnings == ["no_speech"]
    else:
        with pytest.raises(EngineError) as failure:
            await heard(google.engine(), path, progress=kill)
        assert (failure.value.code, failure.value.retryable) == ("engine_crashed", True)
    assert len(killed) == crashes
