"""What is done to the broker and to PostgreSQL. Each leaves the server running."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

from alta_common.testing import eventually
from faults_database import Database
from faults_servers import PrivateServers

_KILL_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


class ServerStrikes:
    """Strikes both servers. `load` writes something at a moment when it matters that there is something to do."""

    def __init__(
        self,
        rng: Random,
        servers: PrivateServers,
        database: Database,
        rabbitmq_url: str,
        load: Callable[[], Awaitable[None]],
    ) -> None:
        self._rng = rng
        self._servers = servers
        self._database = database
        self.url = rabbitmq_url
        self._load = load
        self.notes: dict[str, list[str]] = {}
        """What there is to say about the strikes of a kind."""

    def _note(self, kind: str, what: str) -> None:
        self.notes.setdefault(kind, []).append(what)

    async def _a_moment(self, longest: float = 0.5) -> None:
        # Not to wait for anything: the seed chooses the moment.
        await asyncio.sleep(self._rng.uniform(0, longest))

    async def broker_restarted(self) -> None:
        await self._servers.stop_broker()
        await self._a_moment(2)
        await self._servers.start_broker()

    async def broker_killed(self) -> None:
        await self._servers.kill_broker()
        await self._a_moment(2)
        await self._servers.start_broker()

    async def connections_closed(self) -> None:
        management = self._servers.management()
        try:
            with suppress(AssertionError):
                # Somebody may just be connecting again after the strike before this one.
                closed = await eventually(lambda: management.close_connections(self.url))
                self._note("connections_closed", f"{closed} closed")
        finally:
            await management.aclose()

    async def memory_alarm(self) -> None:
        await self._servers.raise_memory_alarm()
        await self._load()
        await self._a_moment(3)
        await self._servers.clear_memory_alarm()

    async def sessions_killed(self) -> None:
        killed = len(await self._database.fetch(_KILL_SESSIONS))
        self._note("sessions_killed", f"{killed} killed")

    async def postgres_crashed(self) -> None:
        await self._servers.crash_postgres()
        await self._a_moment(2)
        await self._servers.start_postgres()

    async def postgres_stopped(self) -> None:
        await self._servers.stop_postgres_at_once()
        await self._a_moment(2)
        await self._servers.start_postgres()
