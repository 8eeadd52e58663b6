"""For tests of whoever calls Speech-to-Text: the emulated services with a script, and engines that use them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from google.cloud import speech_v2
from google.cloud.speech_v2.types import cloud_speech

from alta_common.contracts.projects import Channels
from alta_common.engines.google.calls import Patience, create_limiter
from alta_common.engines.google.connection import Connection, create_client
from alta_common.engines.operations import NoOperations, Operations
from alta_common.engines.port import SourceFile
from alta_common.settings import StorageSettings
from alta_common.storage import gcs
from alta_common.storage.gcs import GcsObjectStorage
from alta_common.workers.pool import WorkerPool
from alta_emulators.cloud_storage import CloudStorage
from alta_emulators.faults import Faults
from alta_emulators.operations import Operations as EmulatedOperations
from alta_emulators.server import EmulatorServer
from alta_emulators.speech import SpeechService
from alta_emulators.voices import ScriptedSpeech
from alta_transcription.engines.engine import Progress, SpeechOptions, Transcription
from alta_transcription.engines.google_speech import GoogleSpeechEngine, GoogleSpeechLimits
from alta_transcription.engines.google_speech_api import SpeechApi
from alta_transcription.engines.google_speech_batch import BatchRecognizer
from alta_transcription.engines.google_speech_config import GoogleSpeechConfig

BUCKET = "alta-speech"
CONFIG = GoogleSpeechConfig("test", "eu", "_", "long", "en-US")

PATIENT = Patience(
    attempt_seconds=60,
    total_seconds=60,
    first_pause_seconds=0.01,
    longest_pause_seconds=0.01,
    first_poll_seconds=0.01,
    longest_poll_seconds=0.05,
)
"""What a busy machine needs to answer."""

HASTY = replace(PATIENT, attempt_seconds=0.2, total_seconds=0.3)
"""For tests in which nobody answers."""


def a_result(text: str, *, confidence: float = 0.9) -> cloud_speech.SpeechRecognitionResult:
    """Return a result whose words follow each other every half a second, from half a second on."""
    words = [
        {
            "word": word,
            "start_offset": timedelta(seconds=number / 2),
            "end_offset": timedelta(seconds=number / 2 + 0.4),
            "confidence": confidence,
        }
        for number, word in enumerate(text.split(), start=1)
    ]
    return cloud_speech.SpeechRecognitionResult(
        alternatives=[{"transcript": f" {text}", "confidence": confidence, "words": words}],
        result_end_offset=timedelta(seconds=(len(words) + 1) / 2),
        language_code="en-us",
    )


@dataclass
class EmulatedSpeech:
    """The services at `address`, which hear "hello there" in everything, and a bucket."""

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

    def engine(self, patience: Patience = PATIENT, limits: GoogleSpeechLimits | None = None) -> GoogleSpeechEngine:
        """Return an engine as a process would have it that has just started."""
        client = create_client(speech_v2.SpeechAsyncClient, Connection("", emulator=self.address))
        limiter = create_limiter("speech", per_minute=60_000, at_once=8)
        api = SpeechApi(client, CONFIG, limiter, patience)
        self.apis.append(api)
        return GoogleSpeechEngine(api, BatchRecognizer(api, self.bucket), self.pool, limits or GoogleSpeechLimits())

    def through_storage(self, patience: Patience = PATIENT) -> GoogleSpeechEngine:
        """Return an engine to which each recording is a long one."""
        return self.engine(patience, GoogleSpeechLimits(inline_seconds=0))

    async def objects(self, operations: Operations) -> list[str]:
        """Return what lies in the bucket for engines to read."""
        return await self.bucket.keys_below(operations.folder)


@asynccontextmanager
async def emulated_speech(gcs_endpoint: str, pool: WorkerPool) -> AsyncIterator[EmulatedSpeech]:
    """Hold the services, with `BUCKET` at `gcs_endpoint`; `pool` decodes for the engines."""
    client = gcs.create_client(StorageSettings(gcs_endpoint=gcs_endpoint, gcs_project_id="test"))
    google = EmulatedSpeech(GcsObjectStorage(client, BUCKET), pool, CloudStorage(client))
    server = EmulatorServer([google.operations.handler(), google.service.handler()])
    google.address = await server.start()
    try:
        yield google
    finally:
        for api in google.apis:
            await api.close()
        await server.stop()
        await google.operations.close()


def ignore_progress(_done: float, _total: float) -> None:
    """Hear nothing."""


async def heard(
    engine: GoogleSpeechEngine,
    path: Path,
    operations: Operations | None = None,
    *,
    language: str | None = None,
    channels: Channels = "mixed",
    progress: Progress = ignore_progress,
) -> Transcription:
    """Return what `engine` hears in the file `path`."""
    options = SpeechOptions(language, operations=operations or NoOperations(), channels=channels)
    return await engine.transcribe(SourceFile(path, "audio/x"), options, progress)
