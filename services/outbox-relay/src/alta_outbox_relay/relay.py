"""The relay of one outbox: a pipeline for as long as its session lives, and then another one."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from alta_outbox_relay import metrics
from alta_outbox_relay.pipeline import Pipeline, SessionLostError
from alta_outbox_relay.policy import RelayPolicy
from alta_outbox_relay.publisher import Publisher
from alta_outbox_relay.session import SESSION_ERRORS, OutboxSession

log = structlog.get_logger()

_RECONNECT_SECONDS = 1.0


class SchemaRelay:
    """Drains the outbox of one schema, as far as its shards are ours, until `stop`."""

    def __init__(
        self, schema: str, connect: Callable[[], Awaitable[OutboxSession]], publisher: Publisher, policy: RelayPolicy
    ) -> None:
        self._schema = schema
        self._connect = connect
        self._publisher = publisher
        self._policy = policy
        self._pipeline: Pipeline | None = None
        self._stopping = asyncio.Event()
        publisher.when_room(self._feed)

    @property
    def serving(self) -> bool:
        """Say whether the database is connected and its outbox in reach."""
        return self._pipeline is not None

    async def check(self) -> None:
        """Raise `SessionLostError` while it is not `serving`."""
        if not self.serving:
            raise SessionLostError(f"not connected to the outbox of {self._schema}")

    def stop(self) -> None:
        """Send nothing more, and return from `run` once what was sent is confirmed and struck out."""
        self._stopping.set()
        if self._pipeline is not None:
            self._pipeline.stop()

    async def run(self) -> None:
        """Relay; wait for a database that is not there, or not migrated, or gone."""
        while not self._stopping.is_set():
            try:
                session = await self._connect()
                try:
                    await self._serve(session)
                finally:
                    self._pipeline = None
                    metrics.shards_owned.labels(self._schema).set(0)
                    await session.close()
            except (*SESSION_ERRORS, SessionLostError) as error:
                log.warning("outbox.database_awaited", schema=self._schema, error=repr(error))
                with suppress(TimeoutError):
                    async with asyncio.timeout(_RECONNECT_SECONDS):
                        await self._stopping.wait()

    async def _serve(self, session: OutboxSession) -> None:
        pipeline = Pipeline(session, self._publisher, self._policy)
        await pipeline.join()
        if self._stopping.is_set():
            return
        self._pipeline = pipeline
        log.info("outbox.serving", schema=self._schema)
        await pipeline.run()

    def _feed(self) -> None:
        if self._pipeline is not None:
            self._pipeline.feed()
