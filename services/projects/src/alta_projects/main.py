"""The HTTP process: `python -m alta_projects.main`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common import process
from alta_common.audit import AuditTrail
from alta_common.contracts.media_types import DOCUMENT_TYPES, VOICE_TYPES
from alta_common.db.engine import check_database, create_engine, create_sessions
from alta_common.errors import UnavailableError
from alta_common.http.app import create_api
from alta_common.http.health import Check, InternalServer
from alta_common.http.idempotency import IdempotencyKeys
from alta_common.http.principal import HttpJwks, TokenVerifier
from alta_common.http.server import serve
from alta_common.outbox import Outbox, OutboxWakeup
from alta_common.settings import load
from alta_common.storage import ObjectStorage, create_storage
from alta_common.telemetry.setup import setup_telemetry
from alta_projects.api import documents, live, members, page_images, projects, voice_samples
from alta_projects.api.deps import UseCases
from alta_projects.api.problems import install_statuses
from alta_projects.application.audit import ProjectAudit
from alta_projects.application.cancellations import Cancellations
from alta_projects.application.items import ItemService
from alta_projects.application.live import LiveFeed, LiveLimits
from alta_projects.application.local_copies import LocalCopies
from alta_projects.application.members import MemberService
from alta_projects.application.projects import ProjectService
from alta_projects.application.renderers import Renderers, RenderLimits
from alta_projects.application.renditions import RenditionService
from alta_projects.application.result_reader import ResultReader
from alta_projects.application.runs import RunService
from alta_projects.application.uploads import Intake, UploadService
from alta_projects.models.document import Document
from alta_projects.models.media_item import MediaItem
from alta_projects.models.voice_sample import VoiceSample
from alta_projects.repositories.changes import ChangeAnnouncer, ChangeFeed
from alta_projects.settings import SCHEMA, SERVICE, ProjectsSettings

# Of a project, for one follower: a book's worth of pages that are read while a client looks away.
_WAITING_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class Parts:
    """What the process is made of and has to give back."""

    engine: AsyncEngine
    storage: ObjectStorage
    verifier: TokenVerifier
    wakeup: OutboxWakeup
    feed: ChangeFeed
    renderers: Renderers
    copies: LocalCopies

    async def aclose(self) -> None:
        """Give back everything."""
        await self.feed.stop()
        await self.renderers.close()
        self.copies.close()
        await self.wakeup.aclose()
        await self.engine.dispose()


def create_parts(settings: ProjectsSettings, verifier: TokenVerifier, storage: ObjectStorage | None = None) -> Parts:
    """Build what has resources; nothing connects before it is used."""
    engine = create_engine(settings, application_name=SERVICE)
    storage = storage or create_storage(settings)
    return Parts(
        engine=engine,
        storage=storage,
        verifier=verifier,
        wakeup=OutboxWakeup(engine, SCHEMA),
        feed=ChangeFeed(engine),
        renderers=Renderers(_render_limits(settings)),
        copies=LocalCopies(storage, settings.render_copies_mb * 1024**2),
    )


def _render_limits(settings: ProjectsSettings) -> RenderLimits:
    return RenderLimits(
        workers=settings.render_workers,
        waiting=settings.render_waiting,
        job_seconds=settings.render_seconds,
        memory_bytes=settings.render_memory_mb * 1024**2,
    )


def create_use_cases(settings: ProjectsSettings, parts: Parts) -> UseCases:
    """Build the use cases."""
    sessions = create_sessions(parts.engine)
    outbox = Outbox(SCHEMA, parts.wakeup)
    audit = ProjectAudit(AuditTrail(SCHEMA))
    intakes: dict[type[MediaItem], Intake] = {
        Document: Intake(DOCUMENT_TYPES, settings.document_max_bytes),
        VoiceSample: Intake(VOICE_TYPES, settings.voice_max_bytes),
    }
    announcer = ChangeAnnouncer(parts.engine)
    limits = LiveLimits(settings.live_streams, _WAITING_EVENTS, settings.wait_look_again)
    cancellations = Cancellations(parts.storage, outbox)
    items = ItemService(
        sessions,
        parts.storage,
        audit=audit,
        changes=announcer,
        feed=parts.feed,
        cancellations=cancellations,
        look_again=settings.wait_look_again,
    )
    results = ResultReader(sessions, parts.storage)
    return UseCases(
        projects=ProjectService(sessions, outbox, audit, cancellations),
        members=MemberService(sessions, outbox, audit),
        uploads=UploadService(
            sessions,
            parts.storage,
            outbox=outbox,
            audit=audit,
            changes=announcer,
            intakes=intakes,
            unclaimed_for=settings.unclaimed_for,
            patience=settings.processing_patience,
        ),
        items=items,
        results=results,
        renditions=RenditionService(items, results, parts.copies, parts.renderers),
        runs=RunService(
            sessions,
            outbox,
            audit=audit,
            changes=announcer,
            cancellations=cancellations,
            patience=settings.processing_patience,
        ),
        live=LiveFeed(sessions, parts.feed, limits),
        heartbeat=settings.live_heartbeat,
        keys=IdempotencyKeys(SCHEMA),
        intakes=intakes,
    )


def create_app(settings: ProjectsSettings, parts: Parts) -> FastAPI:
    """Return the HTTP application of projects."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        parts.feed.start()
        app.state.is_serving = True
        yield
        await parts.aclose()

    app = create_api("Alta Data: projects", lifespan=lifespan, verifier=parts.verifier)
    app.state.use_cases = create_use_cases(settings, parts)
    app.state.is_serving = False
    install_statuses()
    for noun in (projects, members, live, documents, page_images, voice_samples):
        app.include_router(noun.router)
    return app


async def run(settings: ProjectsSettings) -> None:
    """Serve until told to stop."""
    jwks = HttpJwks(settings.auth_jwks_url)
    parts = create_parts(settings, TokenVerifier(jwks, settings.auth_issuer, settings.auth_audience))
    app = create_app(settings, parts)
    checks: dict[str, Check] = {
        "http": partial(_check_serving, app),
        "database": partial(check_database, parts.engine),
        "storage": parts.storage.check,
        "signing_keys": parts.verifier.check,
    }
    internal = InternalServer(settings.internal_host, settings.internal_port, checks)

    def on_drain() -> None:
        internal.mark_draining()
        parts.feed.release()
        app.state.use_cases.live.release()

    await internal.start()
    try:
        await serve(
            app, settings.http_host, settings.http_port, drain_seconds=settings.drain_seconds, on_drain=on_drain
        )
    finally:
        await internal.stop()
        await jwks.aclose()


async def _check_serving(app: FastAPI) -> None:
    if not app.state.is_serving:
        raise UnavailableError("the HTTP port is not open yet")


def main() -> None:
    """Start the process."""
    settings = load(ProjectsSettings)
    telemetry = setup_telemetry(settings, SERVICE)
    try:
        process.run(run(settings))
    finally:
        telemetry.shutdown()


if __name__ == "__main__":
    main()
