"""Google's engine through Google's own client library, against servers that speak the same gRPC and HTTP."""

import asyncio
import io
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import grpc
import numpy as np
import pytest
import pytest_asyncio
from google.cloud import speech_v2
from google.cloud.speech_v2.types import cloud_speech

from alta_common.engines.google.calls import Patience, create_limiter
from alta_common.engines.google.connection import Connection, create_client
from alta_common.engines.operations import NoOperations, Operations, OperationStore, RemoteOperation
from alta_common.engines.port import EngineError, SourceFile
from alta_common.errors import UnavailableError
from alta_common.ids import new_id
from alta_common.settings import StorageSettings
from alta_common.storage import gcs
from alta_common.storage.gcs import GcsObjectStorage
from alta_common.testing.gcs import gcs_emulator
from alta_common.testing.waiting import eventually
from alta_common.workers.pool import WorkerLimits, WorkerPool
from alta_emulators.cloud_storage import CloudStorage
from alta_emulators.faults import Faults, Hang, RefusedError
from alta_emulators.operations import Operations as EmulatedOperations
from alta_emulators.server import EmulatorServer
from alta_emulators.speech import SpeechService
from alta_emulators.voices import ScriptedSpeech
from alta_transcription.engines.audio import SAMPLE_RATE
from alta_transcription.engines.engine import SpeechOptions, Transcription
from alta_transcription.engines.google_speech import GoogleSpeechEngine, GoogleSpeechLimits
from alta_transcription.engines.google_speech_api import SpeechApi
from alta_transcription.engines.google_speech_batch import BatchRecognizer
from alta_transcription.engines.google_speech_config import GoogleSpeechConfig

pytestmark = pytest.mark.asyncio(loop_scope="module")

BUCKET = "alta-speech"
CONFIG = GoogleSpeechConfig("test", "eu", "_", "long", "en-US")
# Attempts are given up only where a test waits for that.
PATIENT = Patience(attempt_seconds=60, total_seconds=60, first_pause_seconds=0.01, longest_pause_seconds=0.01)
HASTY = Patience(attempt_seconds=0.2, total_seconds=0.3, first_pause_seconds=0.01, longest_pause_seconds=0.01)
UNAVAILABLE = RefusedError(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")
EXHAUSTED = RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded for quota metric 'Requests'.")


def a_result(text: str, *, confidence: float = 0.9, start: float = 0.5) -> cloud_speech.SpeechRecognitionResult:
    """A result whose words follow each other every half a second."""
    words = [
        {
            "word": word,
            "start_offset": timedelta(seconds=start + n / 2),
            "end_offset": timedelta(seconds=start + n / 2 + 0.4),
            "confidence": confidence,
        }
        for n, word in enumerate(text.split())
    ]
    return cloud_speech.SpeechRecognitionResult(
        alternatives=[{"transcript": f" {text}", "confidence": confidence, "words": words}],
        result_end_offset=timedelta(seconds=start + len(words) / 2),
        language_code="en-us",
    )


@dataclass
class Google:
    """The emulated services, and engines that use them."""

    bucket: GcsObjectStorage
    pool: WorkerPool
    storage: CloudStorage
    address: str = ""
    backend: ScriptedSpeech = field(default_factory=lambda: ScriptedSpeech(a_result("hello there")))
    faults: Faults = field(default_factory=Faults)
    apis: list[SpeechApi] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.operations = EmulatedOperations(self.faults)
        self.service = SpeechService(self.backend, self.operations, self.faults, self.storage)

    def engine(self, patience: Patience = PATIENT, **limits: float) -> GoogleSpeechEngine:
        client = create_client(speech_v2.SpeechAsyncClient, Connection("", emulator=self.address))
        limiter = create_limiter("speech", per_minute=60_000, at_once=8)
        api = SpeechApi(client, CONFIG, limiter, patience, poll_pause_seconds=(0.01, 0.05))
        self.apis.append(api)
        return GoogleSpeechEngine(api, BatchRecognizer(api, self.bucket), self.pool, GoogleSpeechLimits(**limits))

    def through_storage(self, patience: Patience = PATIENT) -> GoogleSpeechEngine:
        """An engine to which each recording is a long one."""
        return self.engine(patience, inline_seconds=0)

    async def objects(self, operations: Operations) -> list[str]:
        return await self.bucket.keys_below(operations.folder)


@pytest.fixture(scope="module")
def storage_endpoint() -> Iterator[str]:
    with gcs_emulator(BUCKET) as endpoint:
        yield endpoint


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool("decoding", 1, WorkerLimits(job_seconds=200, step_seconds=100))
    await pool.start()
    yield pool
    await pool.close()


@pytest_asyncio.fixture(loop_scope="module")
async def google(storage_endpoint: str, pool: WorkerPool) -> AsyncIterator[Google]:
    client = gcs.create_client(StorageSettings(gcs_endpoint=storage_endpoint, gcs_project_id="test"))
    google = Google(GcsObjectStorage(client, BUCKET), pool, CloudStorage(client))
    server = EmulatorServer([google.operations.handler(), google.service.handler()])
    google.address = await server.start()
    yield google
    for api in google.apis:
        await api.close()
    await server.stop()
    await google.operations.close()


@pytest.fixture
def operations(google: Google) -> OperationStore:
    return OperationStore(google.bucket, new_id(), new_id())


@pytest.fixture
def clip(tmp_path: Path, wav, pcm) -> Path:
    """Five seconds of speech."""
    path = tmp_path / "clip.wav"
    path.write_bytes(wav(pcm))
    return path


async def heard(
    engine: GoogleSpeechEngine,
    path: Path,
    operations: Operations | None = None,
    *,
    language: str | None = None,
    progress: Callable[[float, float], None] = lambda *_: None,
) -> Transcription:
    options = SpeechOptions(language, operations=operations or NoOperations())
    return await engine.transcribe(SourceFile(path, "audio/wav"), options, progress)


def sound_of(heard_wav: bytes) -> np.ndarray:
    with wave.open(io.BytesIO(heard_wav)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_short_recording_is_heard_in_one_call(google: Google, clip: Path) -> None:
    transcription = await heard(google.engine(), clip)

    assert google.faults.calls == {"Recognize": 1}
    (request,) = google.service.requests
    assert request.content == content_of(clip)
    assert request.recognizer == "projects/test/locations/eu/recognizers/_"
    assert (request.config.model, list(request.config.language_codes)) == ("long", ["en-US"])
    assert (transcription.text, transcription.language, transcription.duration_ms) == ("hello there", "en-US", 5000)
    (segment,) = transcription.segments
    assert (segment.start_ms, segment.end_ms, segment.confidence) == (500, 1400, 0.9)
    assert [(word.text, word.start_ms, word.end_ms, word.confidence) for word in segment.words] == [
        ("hello", 500, 900, 0.9),
        ("there", 1000, 1400, 0.9),
    ]
    info = transcription.engine
    assert (info.name, info.version, info.config_hash) == ("google-speech", "long", CONFIG.hash)
    assert transcription.warnings == []


async def test_a_recording_of_more_than_a_minute_goes_through_storage(
    google: Google, operations: OperationStore, tmp_path: Path, speech, encode
) -> None:
    samples = np.tile(speech[: 16 * SAMPLE_RATE], 4)
    path = encode(tmp_path / "long.mp3", "mp3", "libmp3lame", samples=samples)

    transcription = await heard(google.engine(), path, operations)

    assert google.faults.calls["Recognize"] == 0
    assert google.faults.calls["BatchRecognize"] == 1
    assert transcription.text == "hello there"
    assert transcription.duration_ms == pytest.approx(len(samples) / 16, abs=200)
    (request,) = google.service.requests
    assert request.files[0].uri == f"gs://{BUCKET}/{operations.folder}/audio.flac"
    assert abs(sound_of(google.backend.heard[0][0]).size - samples.size) < SAMPLE_RATE / 5
    assert await google.objects(operations) == []
    assert names_in(tmp_path) == ["long.mp3"]


async def test_a_recording_of_a_minute_is_short_enough(google: Google, tmp_path: Path, speech, encode) -> None:
    samples = np.tile(speech[: 16 * SAMPLE_RATE], 4)[: 59 * SAMPLE_RATE]
    # Two minutes' worth of bytes: what does not fit into a call as it is goes as FLAC.
    path = encode(tmp_path / "large.wav", "wav", "pcm_s16le", samples=samples, rate=48000)

    await heard(google.engine(inline_bytes=4_000_000), path)

    assert google.faults.calls == {"Recognize": 1}
    assert google.service.requests[0].content.startswith(b"fLaC")


async def test_progress_is_told_in_seconds(google: Google, clip: Path) -> None:
    google.operations.hold()
    told: list[tuple[float, float]] = []

    def progress(done: float, total: float) -> None:
        told.append((done, total))
        google.operations.release()

    await heard(google.through_storage(), clip, progress=progress)

    assert told[0] == (0, 5)
    assert told[-1] == (5, 5)


async def test_what_the_operation_tells_of_itself_is_progress(google: Google, clip: Path) -> None:
    half_way, go_on = asyncio.Event(), asyncio.Event()

    async def hear(wav: bytes, language: str, percent: Callable[[int], None]) -> list:
        percent(40)
        half_way.set()
        await go_on.wait()
        return []

    google.backend.hear = hear  # type: ignore[method-assign]

    def progress(done: float, total: float) -> None:
        if (done, total) == (2, 5):
            go_on.set()

    async with asyncio.timeout(60):
        await heard(google.through_storage(), clip, progress=progress)

    assert half_way.is_set()


TRANSCODED = [
    ("a.aiff", "aiff", "pcm_s16be", 44100, "mono"),
    ("24bit.wav", "wav", "pcm_s24le", 48000, "mono"),
    ("32bit.wav", "wav", "pcm_s32le", 48000, "mono"),
    ("float.wav", "wav", "pcm_f32le", 22050, "mono"),
    ("8bit.wav", "wav", "pcm_u8", 8000, "mono"),
    ("stereo.wav", "wav", "pcm_s16le", 44100, "stereo"),
    ("surround.flac", "flac", "flac", 48000, "5.1"),
    ("96khz.flac", "flac", "flac", 96000, "mono"),
    ("alac.m4a", "ipod", "alac", 44100, "mono"),
    ("a.ac3", "ac3", "ac3", 48000, "mono"),
    ("a.mka", "matroska", "libopus", 48000, "mono"),
    ("a.caf", "caf", "pcm_s16le", 44100, "mono"),
    ("a.au", "au", "pcm_s16be", 44100, "mono"),
    ("a.3gp", "3gp", "aac", 44100, "mono"),
    ("a.aac", "adts", "aac", 44100, "mono"),
]
TAKEN = [
    ("16bit.wav", "wav", "pcm_s16le", 16000, "mono"),
    ("mulaw.wav", "wav", "pcm_mulaw", 8000, "mono"),
    ("alaw.wav", "wav", "pcm_alaw", 8000, "mono"),
    ("a.flac", "flac", "flac", 48000, "mono"),
    ("a.mp3", "mp3", "libmp3lame", 44100, "mono"),
    ("opus.ogg", "ogg", "libopus", 48000, "mono"),
    ("opus.webm", "webm", "libopus", 48000, "mono"),
    ("aac.m4a", "ipod", "aac", 44100, "mono"),
    ("aac.mp4", "mp4", "aac", 44100, "mono"),
]


@pytest.mark.parametrize(
    ("name", "container", "codec", "rate", "layout"), TRANSCODED, ids=[row[0] for row in TRANSCODED]
)
async def test_what_google_does_not_take_is_transcoded(
    name: str, container: str, codec: str, rate: int, layout: str, google: Google, tmp_path: Path, speech, encode
) -> None:
    original = speech[: 3 * SAMPLE_RATE]
    path = encode(tmp_path / name, container, codec, samples=original, rate=rate, layout=layout)

    transcription = await heard(google.engine(), path)

    assert google.service.requests[0].content.startswith(b"fLaC")
    ((heard_wav, _),) = google.backend.heard
    assert sound_of(heard_wav).size / SAMPLE_RATE == pytest.approx(3, abs=0.2)
    assert transcription.duration_ms == pytest.approx(3000, abs=200)


@pytest.mark.parametrize(("name", "container", "codec", "rate", "layout"), TAKEN, ids=[row[0] for row in TAKEN])
async def test_what_google_takes_goes_as_it_is(
    name: str, container: str, codec: str, rate: int, layout: str, google: Google, tmp_path: Path, speech, encode
) -> None:
    original = speech[: 3 * SAMPLE_RATE]
    path = encode(tmp_path / name, container, codec, samples=original, rate=rate, layout=layout)

    await heard(google.engine(), path)

    assert google.service.requests[0].content == content_of(path)


async def test_the_second_channel_is_heard_too(google: Google, tmp_path: Path, wav, pcm) -> None:
    right = np.frombuffer(pcm, "<i2")
    stereo = np.column_stack([np.zeros_like(right), right]).tobytes()
    (tmp_path / "right.wav").write_bytes(wav(stereo, channels=2))

    await heard(google.engine(), tmp_path / "right.wav")

    assert np.abs(sound_of(google.backend.heard[0][0])).max() > 1000


async def test_silence_is_not_sent(google: Google, tmp_path: Path, wav) -> None:
    (tmp_path / "silence.wav").write_bytes(wav(bytes(4 * SAMPLE_RATE)))

    transcription = await heard(google.engine(), tmp_path / "silence.wav")

    assert google.faults.calls == {}
    assert (transcription.segments, transcription.warnings) == ([], ["no_speech"])
    assert transcription.duration_ms == 2000


async def test_nothing_heard_is_no_failure(google: Google, clip: Path) -> None:
    google.backend.results = []

    transcription = await heard(google.engine(), clip)

    assert (transcription.text, transcription.language, transcription.warnings) == ("", None, ["no_speech"])


async def test_confidences_that_are_not_given_are_none(google: Google, clip: Path) -> None:
    google.backend.results = [a_result("hello there", confidence=0.0)]

    (segment,) = (await heard(google.engine(), clip)).segments

    assert segment.confidence is None
    assert [word.confidence for word in segment.words] == [None, None]
    assert not segment.low_confidence


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for hole in np.random.default_rng(3).integers(1000, len(content), 300):
        content[hole] ^= 0xFF
    path.write_bytes(content)


async def test_a_damaged_recording_is_sent_clean_and_says_so(google: Google, tmp_path: Path, speech, encode) -> None:
    path = encode(tmp_path / "damaged.mp3", "mp3", "libmp3lame", samples=speech[: 8 * SAMPLE_RATE])
    damage(path)

    transcription = await heard(google.engine(), path)

    assert google.service.requests[0].content.startswith(b"fLaC")
    assert transcription.warnings == ["partly_damaged"]


@pytest.mark.parametrize(("asked", "sent"), [(None, "en-US"), ("de", "de-DE"), ("en", "en-US"), ("pt-PT", "pt-PT")])
async def test_the_language_that_was_asked_for_is_sent(
    asked: str | None, sent: str, google: Google, clip: Path
) -> None:
    await heard(google.engine(), clip, language=asked)

    assert google.backend.heard[0][1] == sent


async def test_what_fails_for_a_moment_is_tried_again(google: Google, clip: Path) -> None:
    google.faults.plan("Recognize", UNAVAILABLE, EXHAUSTED, UNAVAILABLE)

    transcription = await heard(google.engine(), clip)

    assert transcription.text == "hello there"
    assert google.faults.calls == {"Recognize": 4}


async def test_a_server_that_is_stuck_is_given_up_for_now(google: Google, clip: Path) -> None:
    google.faults.plan("Recognize", *[Hang()] * 20)

    with pytest.raises(UnavailableError):
        await heard(google.engine(HASTY), clip)


async def test_a_server_that_is_not_there_is_given_up_for_now(google: Google, clip: Path) -> None:
    engine = google.engine()
    google.address = "127.0.0.1:1"

    with pytest.raises(UnavailableError):
        await heard(google.engine(HASTY), clip)

    assert (await heard(engine, clip)).text == "hello there"


REFUSALS = [
    (grpc.StatusCode.INVALID_ARGUMENT, "Audio data does not appear to be in a supported encoding.", "corrupt_file"),
    (grpc.StatusCode.INVALID_ARGUMENT, "Audio can be of a maximum of 60 seconds.", "audio_too_long"),
    (grpc.StatusCode.OUT_OF_RANGE, "Exceeded maximum allowed audio duration", "audio_too_long"),
    (grpc.StatusCode.PERMISSION_DENIED, "Permission 'speech.recognizers.recognize' denied", "engine_unavailable"),
    (grpc.StatusCode.NOT_FOUND, "Unable to find Recognizer", "engine_unavailable"),
]


@pytest.mark.parametrize(("status", "message", "code"), REFUSALS, ids=[row[1][:20] for row in REFUSALS])
async def test_what_cannot_go_better_is_not_tried_again(
    status: grpc.StatusCode, message: str, code: str, google: Google, clip: Path
) -> None:
    google.faults.plan("Recognize", RefusedError(status, message))

    with pytest.raises(EngineError) as refusal:
        await heard(google.engine(), clip)

    assert refusal.value.code == code
    assert refusal.value.retryable is (code == "engine_unavailable")
    assert google.faults.calls == {"Recognize": 1}


async def test_a_language_that_google_does_not_know_is_named(google: Google, clip: Path) -> None:
    with pytest.raises(EngineError, match="language") as refusal:
        await heard(google.engine(), clip, language="tlh")

    assert refusal.value.code == "unsupported_language"


async def test_a_recording_that_is_too_long_is_refused_before_google_hears_it(google: Google, clip: Path) -> None:
    with pytest.raises(EngineError, match="longer than the 4 seconds") as refusal:
        await heard(google.engine(max_audio_seconds=4.0), clip)

    assert refusal.value.code == "audio_too_long"
    assert google.faults.calls == {}


async def test_a_file_that_fails_in_an_operation_that_went_well(
    google: Google, operations: OperationStore, clip: Path
) -> None:
    google.backend.error = RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "Unable to decode the audio content.")

    with pytest.raises(EngineError) as refusal:
        await heard(google.through_storage(), clip, operations)

    assert refusal.value.code == "corrupt_file"
    assert await operations.find("speech") is None
    assert await google.objects(operations) == []


async def test_an_operation_that_failed_is_begun_again_next_time(
    google: Google, operations: OperationStore, clip: Path
) -> None:
    engine = google.through_storage()
    google.backend.error = RefusedError(grpc.StatusCode.INTERNAL, "Internal error encountered.")
    with pytest.raises(UnavailableError):
        await heard(engine, clip, operations)
    google.backend.error = None

    transcription = await heard(engine, clip, operations)

    assert transcription.text == "hello there"
    assert len(google.operations.started) == 2


async def interrupted(google: Google, operations: OperationStore, clip: Path) -> None:
    """Let a process begin an operation, and stop while it waits."""
    google.operations.hold()
    work = asyncio.ensure_future(heard(google.through_storage(), clip, operations))

    async def is_remembered() -> bool:
        return bool(operations.parts) and google.faults.calls["GetOperation"] > 0

    await eventually(is_remembered, within=timedelta(seconds=60))
    work.cancel()
    await asyncio.wait([work])


async def test_a_restarted_process_waits_for_the_operation_of_the_first(
    google: Google, operations: OperationStore, clip: Path
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


def ids_of(operations: OperationStore) -> tuple[UUID, UUID]:
    _, item_id, event_id = operations.folder.split("/")
    return UUID(item_id), UUID(event_id)


async def test_an_operation_that_cannot_be_asked_for_goes_on(
    google: Google, operations: OperationStore, clip: Path
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
    google: Google, operations: OperationStore, clip: Path
) -> None:
    forgotten = RemoteOperation(
        name="projects/test/locations/eu/operations/99", started_at="2026-11-20T10:00:00Z", inputs=("gs://x/y",)
    )
    await operations.save("speech", forgotten)

    transcription = await heard(google.through_storage(), clip, operations)

    assert transcription.text == "hello there"
    assert len(google.operations.started) == 1


async def test_work_that_nobody_wants_any_more_is_cancelled_at_google(
    google: Google, operations: OperationStore, clip: Path
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

    async def save(self, part: str, operation: RemoteOperation) -> None:  # noqa: ARG002 - as the protocol has it
        raise UnavailableError("the storage is away")


async def test_an_operation_that_cannot_be_remembered_does_not_go_on(google: Google, clip: Path) -> None:
    google.operations.hold()
    operations = Forgetful()

    with pytest.raises(UnavailableError, match="storage is away"):
        await heard(google.through_storage(), clip, operations)

    assert google.operations.cancelled == google.operations.started
    assert await google.objects(operations) == []


async def test_the_engine_says_when_it_cannot_work(google: Google) -> None:
    await google.engine().check()
    google.address = "127.0.0.1:1"
    engine = google.engine()

    async def says_no() -> bool:
        try:
            await engine.check()
        except UnavailableError:
            return True
        return False

    await eventually(says_no, within=timedelta(seconds=60))
