"""The process that operators talk to, behind the gateway: `python -m alta_outbox_relay.admin`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from fastapi import FastAPI

from alta_common import process
from alta_common.db.engine import check_database
from alta_common.errors import UnavailableError
from alta_common.http.app import create_api
from alta_common.http.health import Check, InternalServer
from alta_common.http.principal import HttpJwks, TokenVerifier
from alta_common.http.server import serve
from alta_common.settings import load
from alta_common.telemetry.setup import setup_telemetry
from alta_outbox_relay.api import dead_letters, outbox, queues
from alta_outbox_relay.application.queue_watch import QueueWatch
from alta_outbox_relay.settings import AdminSettings
from alta_outbox_relay.wiring import Operations, create_operations

SERVICE = "outbox-admin"


def create_app(operations: Operations, verifier: TokenVerifier, watch: QueueWatch) -> FastAPI:
    """Return the application. It gives `operations` back when it ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(watch.run(), name="queue-watch")
        app.state.is_serving = True
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await operations.aclose()

    app = create_api("Alta Data: operations", lifespan=lifespan, verifier=verifier)
    app.state.operations = operations
    app.state.is_serving = False
    for noun in (outbox, queues, dead_letters):
        app.include_router(noun.router)
    return app


async def run(settings: AdminSettings) -> None:
    """Serve until told to stop."""
    jwks = HttpJwks(settings.auth_jwks_url)
    verifier = TokenVerifier(jwks, settings.auth_issuer, settings.auth_audience)
    operations = create_operations(settings, SERVICE)
    app = create_app(operations, verifier, QueueWatch(operations.queues, settings.queue_measure_seconds))
    # Not the broker: what is in the outboxes can be seen without it, and that is when somebody wants to.
    checks: dict[str, Check] = {
        "http": partial(_check_serving, app),
        "database": partial(check_database, operations.engine),
        "signing_keys": verifier.check,
    }
    internal = InternalServer(settings.internal_host, settings.internal_port, checks)
    await internal.start()
    try:
        await serve(
            app,
            settings.http_host,
            settings.http_port,
            drain_seconds=settings.drain_seconds,
            on_drain=internal.mark_draining,
        )
    finally:
        await internal.stop()
        await jwks.aclose()


async def _check_serving(app: FastAPI) -> None:
    if not app.state.is_serving:
        raise UnavailableError("the HTTP port is not open yet")


def main() -> None:
    """Start the process."""
    settings = load(AdminSettings)
    telemetry = setup_telemetry(settings, SERVICE)
    try:
        process.run(run(settings))
    finally:
        telemetry.shutdown()


if __name__ == "__main__":
    main()
