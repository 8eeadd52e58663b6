"""What every engine that stands behind the port promises: the local one, Google's over an emulator, and Google itself.

The last one costs a few cents and runs only where its settings and credentials are given: SPEECH_MODEL,
GCS_PROJECT_ID, GCS_BUCKET_NAME and GOOGLE_APPLICATION_CREDENTIALS.
"""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from google.cloud import speech_v2

from alta_common.engines.google.calls import Patience, create_limiter
from alta_common.engines.google.connection import Connection, create_client
from alta_common.engines.port import EngineError, SourceFile
from alta_common.settings import StorageSettings
from alta_common.storage import gcs
from alta_common.storage.gcs import GcsObjectStorage
from alta_common.workers.pool import WorkerLimits, WorkerPool
from alta_emulators.__main__ import create_document_pool, engines_server
from alta_transcription.engines.engine import SpeechEngine, SpeechOptions
from alta_transcription.engines.google_speech import GoogleSpeechEngine, GoogleSpeechLimits
from alta_transcription.engines.google_speech_api import SpeechApi
from alta_transcription.engines.google_speech_batch import BatchRecognizer
from alta_transcription.engines.google_speech_config import GoogleSpeechConfig
from alta_transcription.engines.whisper import WhisperEngine, WhisperLimits
from alta_transcription.engines.whisper_config import WhisperConfig
from alta_transcription.engines.whisper_jobs import warm_up_task

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = WhisperConfig("tiny.en")
REAL = ("SPEECH_MODEL", "GCS_PROJECT_ID", "GCS_BUCKET_NAME", "GOOGLE_APPLICATION_CREDENTIALS")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def local() -> AsyncIterator[tuple[WorkerPool, WhisperEngine]]:
    pool = WorkerPool("contract", 1, WorkerLimits(job_seconds=200, step_seconds=200), warm_up=warm_up_task(CONFIG))
    await pool.start()
    yield pool, WhisperEngine(pool, CONFIG, WhisperLimits(3600, 200))
    await pool.close()


def google_at(connection: Connection, config: GoogleSpeechConfig, pool: WorkerPool, storage: StorageSettings):
    client = create_client(speech_v2.SpeechAsyncClient, connection)
    api = SpeechApi(client, config, create_limiter("speech", per_minute=600, at_once=4), Patience())
    bucket = GcsObjectStorage(gcs.create_client(storage), storage.gcs_bucket_name)
    return GoogleSpeechEngine(api, BatchRecognizer(api, bucket), pool, GoogleSpeechLimits())


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["local", "emulated", "google"])
async def engine(
    request: pytest.FixtureRequest, local: tuple[WorkerPool, WhisperEngine]
) -> AsyncIterator[SpeechEngine]:
    pool, whisper = local
    async with AsyncExitStack() as stack:
        if request.param == "local":
            yield whisper
            return
        if request.param == "emulated":
            # As `python -m alta_emulators` has it; nobody reads documents here, so that pool is not started.
            server = await stack.enter_async_context(engines_server(create_document_pool(1), pool, 1, ""))
            connection = Connection("", emulator=await server.start())
            config = GoogleSpeechConfig("test", "global", "_", "long", "en-US")
            storage = StorageSettings(gcs_bucket_name="unused", gcs_endpoint="http://127.0.0.1:9")
        else:
            if not all(os.environ.get(name) for name in REAL):
                pytest.skip(f"set {', '.join(REAL)} to ask Google itself")
            project, location = os.environ["GCS_PROJECT_ID"], os.environ.get("SPEECH_LOCATION") or "global"
            config = GoogleSpeechConfig(project, location, "_", os.environ["SPEECH_MODEL"], "en-US")
            connection = Connection(config.endpoint, "", Path(os.environ["GOOGLE_APPLICATION_CREDENTIALS"]))
            storage = StorageSettings()
        google = google_at(connection, config, pool, storage)
        stack.push_async_callback(google.close)
        yield google


async def test_what_was_said_is_heard(
    engine: SpeechEngine, note: Path, note_text: str, word_errors: Callable[[str, str], tuple[int, int]]
) -> None:
    told: list[tuple[float, float]] = []

    transcription = await engine.transcribe(
        SourceFile(note, "audio/wav"), SpeechOptions("en"), lambda done, total: told.append((done, total))
    )

    wrong, words = word_errors(note_text, transcription.text)
    assert wrong / words <= 0.1
    assert transcription.duration_ms == pytest.approx(16_000, abs=1500)
    assert (transcription.language or "").startswith("en")
    assert transcription.warnings == []
    assert transcription.engine.config_hash
    assert told == sorted(told)
    times = [time for part in transcription.segments for word in part.words for time in (word.start_ms, word.end_ms)]
    assert len(times) > 2 * 20
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= transcription.duration_ms
    assert all(0 < (word.confidence or 1) <= 1 for part in transcription.segments for word in part.words)


async def test_silence_is_a_success_with_a_warning(engine: SpeechEngine, tmp_path: Path, wav) -> None:
    (tmp_path / "silence.wav").write_bytes(wav(bytes(96_000)))

    transcription = await engine.transcribe(
        SourceFile(tmp_path / "silence.wav", "audio/wav"), SpeechOptions(), lambda *_: None
    )

    assert (transcription.text, transcription.segments, transcription.warnings) == ("", [], ["no_speech"])
    assert transcription.duration_ms == 3000


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "corrupt_file"),
        (b"%PDF-1.7 no sound", "unsupported_media_type"),
        (b"RIFF\0\0\0\0WAVEfmt ", "corrupt_file"),
    ],
)
async def test_what_is_no_recording_is_the_files_fault(
    engine: SpeechEngine, tmp_path: Path, content: bytes, code: str
) -> None:
    (tmp_path / "file").write_bytes(content)

    with pytest.raises(EngineError) as refusal:
        await engine.transcribe(SourceFile(tmp_path / "file", "audio/wav"), SpeechOptions(), lambda *_: None)

    assert (refusal.value.code, refusal.value.retryable) == (code, False)


async def test_an_engine_that_works_says_so(engine: SpeechEngine) -> None:
    await engine.check()
