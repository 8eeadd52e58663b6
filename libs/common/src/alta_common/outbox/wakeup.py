"""Telling the relay that there is something to do."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.db.lost import CONNECTION_ERRORS
from alta_common.db.names import checked_identifier

log = structlog.get_logger()

CHANNEL = "alta_outbox"

# Notifications are at least this far apart. The first nudge after a pause is passed on at once.
_DEBOUNCE = timedelta(milliseconds=2)
# Named one by one; with more of them the relay may as well read all.
_MOST_SHARDS = 8
# After a failure; meanwhile the relay finds the events by itself.
_PAUSE = timedelta(seconds=1)


class OutboxWakeup:
    """Sends `NOTIFY`, debounced, in a transaction and on a connection of its own.

    Never inside a business transaction: there it takes a lock of the whole cluster until commit, and writers queue
    behind each other. A notification that is lost costs a little time only, because relays look by themselves too.
    """

    def __init__(self, engine: AsyncEngine, schema: str) -> None:
        self._url = engine.url
        self._schema = checked_identifier(schema)
        self._shards: set[int] = set()
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection | None = None

    def nudge(self, shards: Iterable[int]) -> None:
        """Have a notification sent soon that there is something in these shards: reading one costs a relay half of all.

        Returns at once and never fails. Call it on the event loop.
        """
        self._shards.update(shards)
        self._wanted.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"outbox-wakeup-{self._schema}")

    async def aclose(self) -> None:
        """Stop, and close the connection."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._disconnect()

    async def _run(self) -> None:
        loop, not_before = asyncio.get_running_loop(), 0.0
        while True:
            await self._wanted.wait()
            if (early := not_before - loop.time()) > 0:
                await asyncio.sleep(early)
            self._wanted.clear()
            shards, self._shards = self._shards, set()
            try:
                await self._notify(shards)
                not_before = loop.time() + _DEBOUNCE.total_seconds()
            except CONNECTION_ERRORS as error:
                log.warning("outbox.wakeup_failed", schema=self._schema, error=repr(error))
                await self._disconnect()
                await asyncio.sleep(_PAUSE.total_seconds())

    async def _notify(self, shards: set[int]) -> None:
        if self._connection is None or self._connection.is_closed():
            url = self._url
            self._connection = await asyncpg.connect(
                host=url.host,
                port=url.port,
                user=url.username,
                password=url.password,
                database=url.database,
                timeout=5,
                command_timeout=5,
                server_settings={"application_name": f"{self._schema}-outbox-wakeup"},
            )
        named = f"/shards/{','.join(map(str, sorted(shards)))}" if len(shards) <= _MOST_SHARDS else ""
        # Without parameters it goes by the simple protocol: a third less work for both sides.
        await self._connection.execute(f"NOTIFY {CHANNEL}, '{self._schema}{named}'")

    async def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
