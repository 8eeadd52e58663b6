"""The transcription process: takes recordings from `transcription_queue`, transcribes them, publishes results."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from alta_common.contracts.engines import canonical_engine
from alta_common.engines.process import work_until_stopped
from alta_common.engines.rules import WorkRules
from alta_common.http.health import InternalServer
from alta_common.messaging.consumers import ConsumerApp
from alta_common.messaging.publisher import EventPublisher
from alta_common.process import run
from alta_common.settings import load
from alta_common.storage import ObjectStorage, create_storage
from alta_common.telemetry.setup import setup_telemetry
from alta_common.workers.pool import WorkerLimits, WorkerPool
from alta_transcription import metrics
from alta_transcription.application.transcription import TranscriptionService
from alta_transcription.consumers import broadcasts, consumers
from alta_transcription.engines.engine import SpeechEngine
from alta_transcription.engines.whisper import WhisperEngine, WhisperLimits
from alta_transcription.engines.whisper_config import WhisperConfig
from alta_transcription.engines.whisper_jobs import warm_up_task
from alta_transcription.settings import TranscriptionSettings

if TYPE_CHECKING:
    from alta_transcription.engines.google_speech import GoogleSpeechEngine

SERVICE = "transcription"
GOOGLE = "google-speech"


def create_pool(settings: TranscriptionSettings, config: WhisperConfig) -> WorkerPool:
    """Return the pool of worker processes, not yet started."""
    return WorkerPool(
        SERVICE,
        settings.transcription_workers,
        WorkerLimits(
            job_seconds=settings.transcription_job_seconds,
            step_seconds=settings.transcription_step_seconds,
            memory_bytes=settings.transcription_worker_memory_mb * 1024 * 1024,
            recycle_after_units=settings.transcription_worker_recycle_seconds,
        ),
        warm_up=warm_up_task(config),
        on_restart=lambda reason: metrics.worker_restarts.labels(reason).inc(),
    )


def create_google_speech_engine(
    settings: TranscriptionSettings, pool: WorkerPool, storage: ObjectStorage
) -> "GoogleSpeechEngine":
    """Return the engine that Google runs; the workers of `pool` decode for it. Needs a running event loop.

    Long recordings go through `storage`, which the settings make a bucket wherever they name this engine's model.
    """
    # Google's libraries take a second and 60 MB; who transcribes locally needs none of that.
    from google.cloud.speech_v2 import SpeechAsyncClient

    from alta_common.engines.google.calls import Patience, create_limiter
    from alta_common.engines.google.connection import Connection, CredentialsError, create_client
    from alta_common.storage.gcs import GcsObjectStorage
    from alta_transcription.engines.google_speech import GoogleSpeechEngine, GoogleSpeechLimits
    from alta_transcription.engines.google_speech_api import API, SpeechApi
    from alta_transcription.engines.google_speech_batch import BatchRecognizer
    from alta_transcription.engines.google_speech_config import GoogleSpeechConfig

    config = GoogleSpeechConfig(
        project=settings.gcs_project_id,
        location=settings.speech_location,
        recognizer=settings.speech_recognizer,
        model=settings.speech_model,
        language=settings.speech_language,
    )
    connection = Connection(config.endpoint, settings.speech_endpoint, settings.google_application_credentials)
    try:
        client = create_client(SpeechAsyncClient, connection)
    except CredentialsError as error:
        raise SystemExit(error.detail) from error
    limiter = create_limiter(API, per_minute=settings.google_requests_per_minute, at_once=settings.google_concurrency)
    patience = Patience(settings.google_attempt_seconds, settings.google_retry_seconds)
    api = SpeechApi(client, config, limiter, patience)
    assert isinstance(storage, GcsObjectStorage)
    limits = GoogleSpeechLimits(settings.audio_max_seconds, settings.transcription_job_seconds)
    return GoogleSpeechEngine(api, BatchRecognizer(api, storage), pool, limits)


def recordings_at_once(settings: TranscriptionSettings) -> int:
    """Return how many recordings one process takes.

    No more than workers when they transcribe: one that waits behind a recording of hours would wait for as long as its
    slice. Who waits for Google needs a worker for a moment only.
    """
    if canonical_engine("voice_sample", settings.transcription_engine) == GOOGLE:
        return max(settings.transcription_workers, settings.google_concurrency)
    return settings.transcription_workers


async def main(settings: TranscriptionSettings) -> None:
    """Run until SIGTERM or SIGINT."""
    telemetry = setup_telemetry(settings, SERVICE)
    config = WhisperConfig(settings.whisper_model, settings.whisper_compute_type)
    pool = create_pool(settings, config)
    limits = WhisperLimits(
        settings.audio_max_seconds, settings.transcription_job_seconds, settings.transcription_keep_seconds
    )
    engines: dict[str, SpeechEngine] = {"local": WhisperEngine(pool, config, limits)}
    storage = create_storage(settings)
    google = create_google_speech_engine(settings, pool, storage) if settings.speech_model else None
    if google is not None:
        engines[GOOGLE] = google
    publisher = EventPublisher(settings.rabbitmq_url, SERVICE)
    time_slice = timedelta(minutes=settings.transcription_slice_minutes)
    rules = WorkRules(
        default_engine=settings.transcription_engine,
        fallback_engine=settings.transcription_fallback_engine,
        job_seconds=settings.transcription_job_seconds,
        slice_seconds=time_slice.total_seconds(),
    )
    transcription = TranscriptionService(storage, engines, publisher, rules)
    table = consumers(transcription, at_once=recordings_at_once(settings), time_slice=time_slice)
    heard = broadcasts(transcription)
    app = ConsumerApp(settings.rabbitmq_url, SERVICE, table, settings.drain_seconds, broadcasts=heard)
    engine = engines[canonical_engine("voice_sample", settings.transcription_engine)]
    checks = {"engine": engine.check, "storage": storage.check, "broker": app.check, "publisher": publisher.check}
    internal = InternalServer(settings.internal_host, settings.internal_port, checks)
    async with AsyncExitStack() as stack:
        # The last first, and each of them whatever becomes of the other.
        stack.push_async_callback(asyncio.to_thread, telemetry.shutdown)
        if google is not None:
            stack.push_async_callback(google.close)
        await work_until_stopped(internal, pool, publisher, app, service=SERVICE, setting="WHISPER_MODEL")


if __name__ == "__main__":
    run(main(load(TranscriptionSettings)))
