"""What is done beside relaying: measuring the backlog, and making and dropping partitions."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from alta_outbox_relay import metrics
from alta_outbox_relay.session import SESSION_ERRORS, OutboxSession

log = structlog.get_logger()

_MEASURE_SECONDS = 5.0
# Crossing what was deleted and may not be removed yet can make a measurement long: 2 % of the time are for it.
_PAUSE_FOR_ITS_COST = 50
_PARTITION_SECONDS = 3600.0


class Housekeeper:
    """Keeps house for one outbox, over a session of its own. Any number of relays may do it at once."""

    def __init__(
        self, schema: str, connect: Callable[[], Awaitable[OutboxSession]], days_ahead: int, days_kept: int
    ) -> None:
        self._schema = schema
        self._connect = connect
        self._days = (days_ahead, days_kept)
        self._partitions_at = 0.0

    async def run(self) -> None:
        """Keep house until cancelled."""
        while True:
            try:
                session = await self._connect()
                try:
                    while True:
                        started = time.monotonic()
                        await self._measure(session)
                        took = time.monotonic() - started
                        await self._tend(session)
                        await asyncio.sleep(max(_MEASURE_SECONDS, _PAUSE_FOR_ITS_COST * took))
                finally:
                    await session.close()
            except SESSION_ERRORS as error:
                log.warning("outbox.housekeeping_failed", schema=self._schema, error=repr(error))
                await asyncio.sleep(_MEASURE_SECONDS)

    async def _measure(self, session: OutboxSession) -> None:
        backlog = await session.backlog()
        metrics.depth.labels(self._schema).set(backlog.depth)
        metrics.parked.labels(self._schema).set(backlog.parked)
        metrics.oldest_pending.labels(self._schema).set(backlog.oldest_seconds)

    async def _tend(self, session: OutboxSession) -> None:
        if time.monotonic() >= self._partitions_at:
            # Noted before it is tried: what did not work out may have kept others waiting, and is not tried at once.
            self._partitions_at = time.monotonic() + _PARTITION_SECONDS
            made, dropped = await session.tend_partitions(*self._days)
            if made or dropped:
                log.info("outbox.partitions_changed", schema=self._schema, made=made, dropped=dropped)
