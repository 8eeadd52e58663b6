"""Running a process whose worker processes hold an engine."""

import asyncio
from contextlib import AsyncExitStack

import structlog

from alta_common.engines.folders import remove_abandoned
from alta_common.engines.requests import folder_prefix
from alta_common.http.health import InternalServer
from alta_common.messaging.consumers import ConsumerApp
from alta_common.messaging.publisher import EventPublisher
from alta_common.process import until_stopped
from alta_common.workers.errors import WorkerStartError
from alta_common.workers.pool import WorkerPool

log = structlog.get_logger()


async def work_until_stopped(
    internal: InternalServer,
    pool: WorkerPool,
    publisher: EventPublisher,
    app: ConsumerApp,
    *,
    service: str,
    setting: str,
) -> None:
    """Start what is given, engine first, work until SIGTERM or SIGINT, and stop it, consumers first.

    Files that an earlier process of `service` held when it was killed are removed first. Raises `SystemExit` when the
    engine cannot be started; its message names `setting`, which chooses the engine.
    """
    await internal.start()
    async with AsyncExitStack() as stack:
        # The last first, and each of them whatever becomes of the others.
        stack.push_async_callback(internal.stop)
        stack.push_async_callback(publisher.stop)
        stack.push_async_callback(pool.close)
        if abandoned := await asyncio.to_thread(remove_abandoned, folder_prefix(service)):
            log.info("folders.abandoned_removed", count=abandoned)
        await _start(pool, setting)
        await publisher.start()
        stack.push_async_callback(app.stop)
        stack.callback(internal.mark_draining)
        await app.start()
        await until_stopped()


async def _start(pool: WorkerPool, setting: str) -> None:
    try:
        await pool.start()
    except WorkerStartError as error:
        log.exception("engine.start_failed")
        raise SystemExit(f"the engine cannot be started ({setting}): {error.detail}") from error
