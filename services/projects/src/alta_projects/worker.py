"""The consumer process: `python -m alta_projects.worker`. Takes results in, and tidies up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common import process
from alta_common.audit import AuditTrail
from alta_common.db.engine import check_database, create_engine, create_sessions
from alta_common.http.health import Check, InternalServer
from alta_common.http.idempotency import IdempotencyKeys
from alta_common.inbox import Inbox
from alta_common.messaging.consumers import ConsumerApp
from alta_common.settings import load
from alta_common.storage import create_storage
from alta_common.telemetry.setup import setup_telemetry
from alta_projects.application.audit import ProjectAudit
from alta_projects.application.people import PersonService
from alta_projects.application.results import ResultService
from alta_projects.application.sweep import Sweeper
from alta_projects.consumers import create_consumers
from alta_projects.repositories.changes import ChangeAnnouncer
from alta_projects.settings import SCHEMA, ProjectsWorkerSettings

SERVICE = "projects-worker"

log = structlog.get_logger()


def create_consumer_app(settings: ProjectsWorkerSettings, engine: AsyncEngine) -> ConsumerApp:
    """Build the consumers of this process."""
    sessions, inbox = create_sessions(engine), Inbox(SCHEMA)
    audit = ProjectAudit(AuditTrail(SCHEMA))
    results = ResultService(sessions, inbox, audit, ChangeAnnouncer(engine))
    people = PersonService(sessions, inbox, audit)
    consumers = create_consumers(results, people, settings.results_prefetch)
    return ConsumerApp(settings.rabbitmq_url, SERVICE, consumers, settings.drain_seconds)


@asynccontextmanager
async def regularly(job: Callable[[], Awaitable[None]], every: timedelta) -> AsyncIterator[None]:
    """Do `job` now and again while the block runs. A failure is logged, and the next time tries again."""

    async def repeat() -> None:
        while True:
            try:
                await job()
            except Exception as error:  # noqa: BLE001  the loop must outlive whatever the database or the store do
                log.warning("sweep.failed", error=repr(error))
            await asyncio.sleep(every.total_seconds())

    task = asyncio.create_task(repeat(), name="sweep")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def run(settings: ProjectsWorkerSettings) -> None:
    """Consume until told to stop."""
    engine = create_engine(settings, application_name=SERVICE)
    storage = create_storage(settings)
    app = create_consumer_app(settings, engine)
    sweeper = Sweeper(create_sessions(engine), storage, IdempotencyKeys(SCHEMA), Inbox(SCHEMA))
    checks: dict[str, Check] = {
        "database": partial(check_database, engine),
        "storage": storage.check,
        "broker": app.check,
    }
    internal = InternalServer(settings.internal_host, settings.internal_port, checks)
    await internal.start()
    try:
        async with regularly(sweeper.sweep, timedelta(seconds=settings.sweep_interval_seconds)):
            await _consume_until_stopped(app, internal)
    finally:
        await engine.dispose()
        await internal.stop()


async def _consume_until_stopped(app: ConsumerApp, internal: InternalServer) -> None:
    """Start the consumers, which wait for the broker; be stoppable all the while."""
    starting = asyncio.create_task(app.start(), name="consumers-start")
    stopped = asyncio.create_task(process.until_stopped(), name="stop-signal")
    await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        await stopped
    else:
        starting.cancel()
    internal.mark_draining()
    await app.stop()


def main() -> None:
    """Start the process."""
    settings = load(ProjectsWorkerSettings)
    telemetry = setup_telemetry(settings, SERVICE)
    try:
        process.run(run(settings))
    finally:
        telemetry.shutdown()


if __name__ == "__main__":
    main()
