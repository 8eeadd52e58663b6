"""The ocr process: takes documents from `ocr_queue`, reads them in killable worker processes, publishes results."""

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
from alta_ocr import metrics
from alta_ocr.application.extraction import ExtractionService
from alta_ocr.consumers import broadcasts, consumers
from alta_ocr.engines.documentai_config import DocumentAiConfig, processor_name
from alta_ocr.engines.engine import OcrEngine
from alta_ocr.engines.limits import DocumentLimits
from alta_ocr.engines.local import LocalConfig, LocalEngine, warm_up_task
from alta_ocr.settings import OcrSettings

if TYPE_CHECKING:
    from alta_ocr.engines.documentai import DocumentAiEngine

SERVICE = "ocr"

_LOCAL_DOCUMENTS = 8
"""How many documents are read here at a time. Each is a file on this disk and its pages in this memory; more would slow
each other down past the time of a job, and be missed by a process that has nothing to do."""


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
    config = LocalConfig(
        settings.ocr_workers,
        settings.ocr_page_seconds,
        _limits(settings),
        settings.ocr_backend,
        keep_every_seconds=settings.ocr_keep_seconds,
    )
    return LocalEngine(pool, config)


def create_documentai_engine(settings: OcrSettings, pool: WorkerPool, storage: ObjectStorage) -> "DocumentAiEngine":
    """Return the engine that reads at Google, whose files the workers of `pool` prepare. Needs a running event loop.

    Long documents go through the bucket, where `storage` is one. Raises `SystemExit` without usable credentials.
    """
    # Google's libraries take a second and 60 MB; who reads locally needs none of that.
    from google.cloud.documentai_v1 import DocumentProcessorServiceAsyncClient

    from alta_common.engines.google.calls import Patience, create_limiter
    from alta_common.engines.google.connection import Connection, CredentialsError, create_client
    from alta_common.storage.gcs import GcsObjectStorage
    from alta_ocr.engines.documentai import DocumentAiEngine
    from alta_ocr.engines.documentai_api import DocumentAiApi

    host = f"{settings.documentai_location}-documentai.googleapis.com"
    connection = Connection(host, settings.documentai_endpoint, settings.google_application_credentials)
    try:
        client = create_client(DocumentProcessorServiceAsyncClient, connection)
    except CredentialsError as error:
        raise SystemExit(error.detail) from error
    at_once = settings.google_concurrency
    limiter = create_limiter("documentai", per_minute=settings.google_requests_per_minute, at_once=at_once)
    patience = Patience(settings.google_attempt_seconds, settings.google_retry_seconds)
    api = DocumentAiApi(client, documentai_config(settings), limiter, patience)
    return DocumentAiEngine(api, pool, storage if isinstance(storage, GcsObjectStorage) else None)


def documentai_config(settings: OcrSettings) -> DocumentAiConfig:
    """Return how documents are read at Google."""
    return DocumentAiConfig(
        processor_name(
            settings.gcs_project_id,
            settings.documentai_location,
            settings.documentai_processor,
            settings.documentai_processor_version,
        ),
        _limits(settings),
        settings.ocr_page_seconds,
        at_once=settings.google_concurrency,
        imageless=settings.documentai_imageless,
        native_pdf=settings.documentai_native_pdf,
        batch_pages=settings.documentai_batch_pages,
    )


def _limits(settings: OcrSettings) -> DocumentLimits:
    return DocumentLimits(settings.ocr_max_pages, round(settings.ocr_max_megapixels * 1_000_000))


async def main(settings: OcrSettings) -> None:
    """Run until SIGTERM or SIGINT."""
    telemetry = setup_telemetry(settings, SERVICE)
    pool = create_pool(settings)
    storage = create_storage(settings)
    engines: dict[str, OcrEngine] = {"local": create_local_engine(settings, pool)}
    documentai = create_documentai_engine(settings, pool, storage) if settings.documentai_processor else None
    if documentai is not None:
        engines["documentai"] = documentai
    publisher = EventPublisher(settings.rabbitmq_url, SERVICE)
    time_slice = timedelta(minutes=settings.ocr_slice_minutes)
    rules = WorkRules(
        default_engine=settings.ocr_engine,
        fallback_engine=settings.ocr_fallback_engine,
        job_seconds=settings.ocr_job_seconds,
        slice_seconds=time_slice.total_seconds(),
    )
    extraction = ExtractionService(storage, engines, publisher, rules)
    # Documents share the workers by turns (engines/turns.py): a short one is taken although long ones are being read.
    at_once = max(_LOCAL_DOCUMENTS, settings.ocr_workers + 1) + (settings.google_concurrency if documentai else 0)
    table = consumers(extraction, at_once=at_once, time_slice=time_slice)
    heard = broadcasts(extraction)
    app = ConsumerApp(settings.rabbitmq_url, SERVICE, table, settings.drain_seconds, broadcasts=heard)
    engine = engines[canonical_engine("document", settings.ocr_engine)]
    checks = {"engine": engine.check, "storage": storage.check, "broker": app.check, "publisher": publisher.check}
    internal = InternalServer(settings.internal_host, settings.internal_port, checks)
    async with AsyncExitStack() as stack:
        # The last first, and each of them whatever becomes of the other.
        stack.push_async_callback(asyncio.to_thread, telemetry.shutdown)
        if documentai is not None:
            stack.push_async_callback(documentai.close)
        await work_until_stopped(internal, pool, publisher, app, service=SERVICE, setting="OCR_BACKEND")


if __name__ == "__main__":
    run(main(load(OcrSettings)))
