"""News of changed items between processes: PostgreSQL's LISTEN and NOTIFY, one listening connection a process."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.db.lost import CONNECTION_ERRORS
from alta_common.errors import UnavailableError

log = structlog.get_logger()

CHANNEL = "alta_projects_changes"

_CONNECT_SECONDS = 5.0
_PROBE_SECONDS = 30.0
_PAUSE_SECONDS = 1.0


class ChangeAnnouncer:
    """Tells every process that an item has changed, after the change has been committed.

    In a transaction of its own, because NOTIFY takes a lock of the whole cluster until its transaction ends. News that
    is lost costs a waiting client a few seconds: waiters look by themselves too.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def announce(self, item_id: UUID, project_id: UUID) -> None:
        """Spread the news of an item, to those who wait for it and for anything in its project. Never fails."""
        parameters = {"channel": CHANNEL, "ids": f"{item_id} {project_id}"}
        try:
            async with self._engine.connect() as connection:
                plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
                await plain.execute(text("SELECT pg_notify(:channel, :ids)"), parameters)
        except (UnavailableError, SQLAlchemyError) as error:
            log.warning("changes.not_announced", item_id=str(item_id), error=repr(error))


class ChangeFeed:
    """Wakes those who wait for an item, or for anything in a project, in this process."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._url = engine.url
        self._waiters: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self.is_listening = asyncio.Event()
        self.is_draining = False

    def start(self) -> None:
        """Listen from now on, and again whenever the connection is lost."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="item-changes")

    def release(self) -> None:
        """Let nobody wait any longer: the process is about to stop."""
        self.is_draining = True
        self._wake_all()

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @contextmanager
    def watch(self, item_or_project_id: UUID) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever it has changed. Read the item or project after this, not before."""
        changed = asyncio.Event()
        key = str(item_or_project_id)
        self._waiters[key].add(changed)
        try:
            yield changed
        finally:
            self._waiters[key].discard(changed)
            if not self._waiters[key]:
                del self._waiters[key]

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except CONNECTION_ERRORS as error:
                log.warning("changes.connection_lost", error=repr(error))
            self.is_listening.clear()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _listen(self) -> None:
        connection = await self._connect()
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, self._on_notification)
            self.is_listening.set()
            # Whatever happened while nobody listened.
            self._wake_all()
            while not lost.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_PROBE_SECONDS):
                        await lost.wait()
                    break
                # A peer that is gone without a word is only noticed by asking.
                await connection.execute("SELECT 1")
        finally:
            connection.terminate()

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        url = self._url
        return await asyncpg.connect(
            host=url.host,
            port=url.port,
            user=url.username,
            password=url.password,
            database=url.database,
            timeout=_CONNECT_SECONDS,
            command_timeout=_CONNECT_SECONDS,
            server_settings={"application_name": "projects-changes"},
        )

    def _on_notification(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        for key in str(payload).split():
            self._wake(key)

    def _wake_all(self) -> None:
        for key in list(self._waiters):
            self._wake(key)

    def _wake(self, key: str) -> None:
        for changed in self._waiters.get(key, ()):
            changed.set()
