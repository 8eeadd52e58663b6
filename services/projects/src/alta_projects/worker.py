"""The consumer process: `python -m alta_projects.worker`. Takes results in, and tidies up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
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
from alta_common.outbox import Outbox, OutboxWakeup
from alta_common.settings import load
from alta_common.storage import ObjectStorage, create_storage
from alta_common.telemetry.setup import setup_telemetry
from alta_projects.application.audit import ProjectAudit
from alta_projects.application.cancellations import Cancellations
from alta_projects.application.failure_mail import FailureMail
from alta_projects.application.people import PersonService
from alta_projects.application.results import ResultService
from alta_projects.application.run_watch import RunWatch
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
    consumers = create_consumers(
        results, people, prefetch=settings.results_prefetch, partitions=settings.results_partitions
    )
    return ConsumerApp(settings.rabbitmq_url, SERVICE, consumers, settings.drain_seconds)


@asynccontextmanager
async def regularly(job: Callable[[], Awaitable[None]], every: timedelta) -> AsyncIterator[None]:
    """Do `job` now and again while the block runs. A failure is logged, and the next time tries again."""
    name = getattr(job, "__qualname__", repr(job))

    async def repeat() -> None:
        while True:
            try:
                await job()
            except Exception as error:  # noqa: BLE001  the loop must outlive whatever the database or the store do
                log.warning("job.failed", job=name, error=repr(error))
            await asyncio.sleep(every.total_seconds())

    task = asyncio.create_task(repeat(), name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@dataclass(frozen=True, slots=True)
class Jobs:
    """What this process does regularly besides consuming."""

    sweeper: Sweeper
    watch: RunWatch
    mail: FailureMail

    @asynccontextmanager
    async def running(self, settings: ProjectsWorkerSettings) -> AsyncIterator[None]:
        """Do all of it while the block runs."""
        async with AsyncExitStack() as stack:
            for job, seconds in (
                (self.sweeper.sweep, settings.sweep_interval_seconds),
                (self.watch.look, settings.run_watch_interval_seconds),
                (self.mail.tell, settings.failure_mail_check_seconds),
            ):
                await stack.enter_async_context(regularly(job, timedelta(seconds=seconds)))
            yield


def create_jobs(settings: ProjectsWorkerSettings, engine: AsyncEngine, storage: ObjectStorage, outbox: Outbox) -> Jobs:
    """Build the regular work of this process."""
    sessions, audit = create_sessions(engine), ProjectAudit(AuditTrail(SCHEMA))
    cancellations = Cancellations(storage, outbox)
    return Jobs(
        sweeper=Sweeper(
            sessions,
            storage,
            keys=IdempotencyKeys(SCHEMA),
            inbox=Inbox(SCHEMA),
            inbox_memory=settings.inbox_memory,
            cancellations=cancellations,
        ),
        watch=RunWatch(sessions, audit, ChangeAnnouncer(engine), cancellations),
        mail=FailureMail(sessions, outbox, pause=timedelta(minutes=settings.failure_mail_pause_minutes)),
    )


async def run(settings: ProjectsWorkerSettings) -> None:
    """Consume until told to stop."""
    engine = create_engine(settings, application_name=SERVICE)
    storage = create_storage(settings)
    app = create_consumer_app(settings, engine)
    wakeup = OutboxWakeup(engine, SCHEMA)
    jobs = create_jobs(settings, engine, storage, Outbox(SCHEMA, wakeup))
    checks: dict[str, Check] = {
        "database": partial(check_database, engine),
        "storage": storage.check,
        "broker": app.check,
    }
    internal = InternalServer(settings.internal_host, settings.internal_port, checks)
    await internal.start()
    async with AsyncExitStack() as stack:
        # The last first, and each of them whatever becomes of the others.
        stack.push_async_callback(internal.stop)
        stack.push_async_callback(engine.dispose)
        stack.push_async_callback(wakeup.aclose)
        await stack.enter_async_context(jobs.running(settings))
        await _consume_until_stopped(app, internal)


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
