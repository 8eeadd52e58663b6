"""The relay's process."""

import asyncio
import gc
from functools import partial

import structlog

from alta_common.http.health import InternalServer
from alta_common.process import run, until_stopped
from alta_common.settings import load
from alta_common.telemetry.setup import setup_telemetry
from alta_outbox_relay.housekeeping import Housekeeper
from alta_outbox_relay.policy import RelayPolicy
from alta_outbox_relay.publisher import Publisher
from alta_outbox_relay.relay import SchemaRelay
from alta_outbox_relay.session import OutboxSession
from alta_outbox_relay.settings import RelaySettings

log = structlog.get_logger()

_ASK_AGAIN_SECONDS = 1.0


async def main() -> None:
    """Relay until SIGTERM."""
    settings = load(RelaySettings)
    telemetry = setup_telemetry(settings, "outbox-relay")
    # Room for each schema: a backlog in one takes none of what another needs.
    publisher = Publisher(settings.rabbitmq_url, settings.outbox_window * len(settings.schemas))
    relays = {schema: _create_relay(settings, schema, publisher) for schema in settings.schemas}
    checks = {"broker": publisher.check} | {f"outbox_{schema}": relay.check for schema, relay in relays.items()}
    _collect_rarely()
    internal = InternalServer(settings.internal_host, settings.internal_port, checks)
    await internal.start()
    background = [publisher.run(), *(_create_housekeeper(settings, schema).run() for schema in settings.schemas)]
    aside = [asyncio.ensure_future(work) for work in background]
    relaying = [asyncio.ensure_future(relay.run()) for relay in relays.values()]
    stopped = asyncio.ensure_future(until_stopped())
    try:
        # Nothing but the signal ends any of them; what ends by itself is a fault of ours, and is raised.
        await asyncio.wait({stopped, *aside, *relaying}, return_when=asyncio.FIRST_COMPLETED)
        internal.mark_draining()
        for relay in relays.values():
            relay.stop()
        await asyncio.wait(relaying, timeout=settings.drain_seconds)
    finally:
        failed = await _end([stopped, *aside, *relaying])
        await internal.stop()
        telemetry.shutdown()
    if failed is not None:
        raise failed
    log.info("relay.stopped")


def _collect_rarely() -> None:
    """Have the garbage collector leave events alone: they are in no cycles, but it looked at each of them, twice.

    That was a fifth of this process's time. What is loaded by now stays, and need not be looked at either.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def _create_relay(settings: RelaySettings, schema: str, publisher: Publisher) -> SchemaRelay:
    policy = RelayPolicy(
        batch_size=settings.outbox_batch_size,
        window=settings.outbox_window,
        poll_seconds=settings.outbox_processing_interval,
        max_retries=settings.outbox_max_retries,
        retry_seconds=settings.outbox_retry_delay,
        stale_seconds=settings.outbox_stale_seconds,
    )
    return SchemaRelay(schema, partial(OutboxSession.open, settings, schema), publisher, policy)


def _create_housekeeper(settings: RelaySettings, schema: str) -> Housekeeper:
    connect = partial(OutboxSession.open, settings, schema, "outbox-housekeeping")
    return Housekeeper(schema, connect, settings.outbox_partition_days, settings.outbox_retention_days)


async def _end(tasks: list[asyncio.Future[None]]) -> BaseException | None:
    """Cancel what still runs, wait for all, and return the failure of one that failed."""
    ending = set(tasks)
    while ending:
        # Asked again until it has ended: a library that is just losing its connection may swallow a cancellation.
        for task in ending:
            task.cancel()
        _, ending = await asyncio.wait(ending, timeout=_ASK_AGAIN_SECONDS)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    failures = (one for one in results if isinstance(one, Exception))
    return next(failures, None)


if __name__ == "__main__":
    run(main())
