"""The transcription process: takes recordings from `transcription_queue`, transcribes them, publishes results."""

import asyncio
from datetime import timedelta

from alta_common.engines.process import work_until_stopped
from alta_common.engines.rules import WorkRules
from alta_common.http.health import InternalServer
from alta_common.messaging.consumers import ConsumerApp
from alta_common.messaging.publisher import EventPublisher
from alta_common.process import run
from alta_common.settings import load
from alta_common.storage import create_storage
from alta_common.telemetry.setup import setup_telemetry
from alta_common.workers.pool import WorkerLimits, WorkerPool
from alta_transcription import metrics
from alta_transcription.application.transcription import TranscriptionService
from alta_transcription.consumers import broadcasts, consumers
from alta_transcription.engines.whisper import WhisperEngine, WhisperLimits
from alta_transcription.engines.whisper_config import WhisperConfig
from alta_transcription.engines.whisper_jobs import warm_up_task
from alta_transcription.settings import TranscriptionSettings

SERVICE = "transcription"


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


async def main(settings: TranscriptionSettings) -> None:
    """Run until SIGTERM or SIGINT."""
    telemetry = setup_telemetry(settings, SERVICE)
    config = WhisperConfig(settings.whisper_model, settings.whisper_compute_type)
    pool = create_pool(settings, config)
    limits = WhisperLimits(settings.audio_max_seconds, settings.transcription_job_seconds)
    engine = WhisperEngine(pool, config, limits)
    storage = create_storage(settings)
    publisher = EventPublisher(settings.rabbitmq_url, SERVICE)
    time_slice = timedelta(minutes=settings.transcription_slice_minutes)
    rules = WorkRules(
        default_engine=settings.transcription_engine,
        fallback_engine=settings.transcription_fallback_engine,
        job_seconds=settings.transcription_job_seconds,
        slice_seconds=time_slice.total_seconds(),
    )
    transcription = TranscriptionService(storage, {"local": engine}, publisher, rules)
    # No more messages than workers: one that waits behind a recording of hours would wait for as long as its slice.
    table = consumers(transcription, at_once=settings.transcription_workers, time_slice=time_slice)
    heard = broadcasts(transcription)
    app = ConsumerApp(settings.rabbitmq_url, SERVICE, table, settings.drain_seconds, broadcasts=heard)
    checks = {"engine": engine.check, "storage": storage.check, "broker": app.check, "publisher": publisher.check}
    internal = InternalServer(settings.internal_host, settings.internal_port, checks)
    try:
        await work_until_stopped(internal, pool, publisher, app, service=SERVICE, setting="WHISPER_MODEL")
    finally:
        await asyncio.to_thread(telemetry.shutdown)


if __name__ == "__main__":
    run(main(load(TranscriptionSettings)))
