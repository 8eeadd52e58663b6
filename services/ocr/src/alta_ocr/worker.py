"""The ocr process: takes documents from `ocr_queue`, reads them in killable worker processes, publishes results."""

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
from alta_ocr import metrics
from alta_ocr.application.extraction import ExtractionService
from alta_ocr.consumers import broadcasts, consumers
from alta_ocr.engines.limits import DocumentLimits
from alta_ocr.engines.local import LocalConfig, LocalEngine, warm_up_task
from alta_ocr.settings import OcrSettings

SERVICE = "ocr"


def create_pool(settings: OcrSettings) -> WorkerPool:
    """Return the pool of worker processes, not yet started."""
    return WorkerPool(
        SERVICE,
        settings.ocr_workers,
        WorkerLimits(
            job_seconds=settings.ocr_job_seconds,
            step_seconds=settings.ocr_page_seconds,
            memory_bytes=settings.ocr_worker_memory_mb * 1024 * 1024,
            recycle_after_units=settings.ocr_worker_recycle_pages,
        ),
        warm_up=warm_up_task(settings.ocr_backend),
        on_restart=lambda reason: metrics.worker_restarts.labels(reason).inc(),
    )


def create_local_engine(settings: OcrSettings, pool: WorkerPool) -> LocalEngine:
    """Return the engine that reads in the workers of `pool`."""
    limits = DocumentLimits(settings.ocr_max_pages, round(settings.ocr_max_megapixels * 1_000_000))
    return LocalEngine(pool, LocalConfig(settings.ocr_workers, settings.ocr_page_seconds, limits, settings.ocr_backend))


async def main(settings: OcrSettings) -> None:
    """Run until SIGTERM or SIGINT."""
    telemetry = setup_telemetry(settings, SERVICE)
    pool = create_pool(settings)
    engine = create_local_engine(settings, pool)
    storage = create_storage(settings)
    publisher = EventPublisher(settings.rabbitmq_url, SERVICE)
    time_slice = timedelta(minutes=settings.ocr_slice_minutes)
    rules = WorkRules(
        default_engine=settings.ocr_engine,
        fallback_engine=settings.ocr_fallback_engine,
        job_seconds=settings.ocr_job_seconds,
        slice_seconds=time_slice.total_seconds(),
    )
    extraction = ExtractionService(storage, {"local": engine}, publisher, rules)
    # One document more than there are workers is fetched and stored while they read.
    table = consumers(extraction, at_once=settings.ocr_workers + 1, time_slice=time_slice)
    heard = broadcasts(extraction)
    app = ConsumerApp(settings.rabbitmq_url, SERVICE, table, settings.drain_seconds, broadcasts=heard)
    checks = {"engine": engine.check, "storage": storage.check, "broker": app.check, "publisher": publisher.check}
    internal = InternalServer(settings.internal_host, settings.internal_port, checks)
    try:
        await work_until_stopped(internal, pool, publisher, app, service=SERVICE, setting="OCR_BACKEND")
    finally:
        await asyncio.to_thread(telemetry.shutdown)


if __name__ == "__main__":
    run(main(load(OcrSettings)))
