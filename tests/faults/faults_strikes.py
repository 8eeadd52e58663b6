"""What is done to the system, one method a kind of fault. Each leaves the system able to go on."""

import asyncio
from contextlib import suppress
from random import Random

from alta_common.db.lost import CONNECTION_ERRORS
from alta_common.testing import eventually
from faults_outbox import OutboxDatabase, Poison
from faults_plan import Kind
from faults_relays import Fleet, ServiceProcess
from faults_servers import PrivateServers
from faults_writers import Writers

_TAKEOVER_SECONDS = 60
_CAUGHT_SECONDS = 20
_REPLAYED = 20

_KILL_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""

# The relay cannot strike out what others look at.
_HOLD = "SELECT id FROM projects.outbox_pending ORDER BY id LIMIT 50 FOR UPDATE SKIP LOCKED"
_WAITING = """
SELECT a.client_port FROM pg_stat_activity a
WHERE pg_backend_pid() = ANY (pg_blocking_pids(a.pid)) AND a.usename = 'alta_relay' AND a.client_port IS NOT NULL
"""


class Strikes:
    """Strikes, and counts the duplicates that each may make: in batches, one for every relay that was hit."""

    def __init__(
        self,
        rng: Random,
        servers: PrivateServers,
        database: OutboxDatabase,
        rabbitmq_url: str,
        fleet: Fleet,
        writers: Writers,
    ) -> None:
        self._rng = rng
        self._servers = servers
        self._database = database
        self._url = rabbitmq_url
        self._fleet = fleet
        self._writers = writers
        self.poisons: list[Poison] = []
        self.replayed = 0
        """Events that were published again because they were asked for again."""
        self.notes: dict[Kind, list[str]] = {}

    async def strike(self, kind: Kind) -> int:
        """Do it; return how many relays may each publish a batch twice because of it."""
        return int(await getattr(self, kind.value)())

    async def _a_moment(self, longest: float = 0.5) -> None:
        # Not to wait for anything: the seed chooses the moment.
        await asyncio.sleep(self._rng.uniform(0, longest))

    def _note(self, kind: Kind, what: str) -> None:
        self.notes.setdefault(kind, []).append(what)

    # Relays

    async def relay_killed(self) -> int:
        self._fleet.kill(self._fleet.any())
        await self._a_moment()
        self._fleet.start()
        return 1

    async def relay_caught(self) -> int:
        caught = await self._caught()
        self._note(Kind.RELAY_CAUGHT, "caught" if caught else "not caught")
        self._fleet.kill(caught or self._fleet.any())
        await self._a_moment()
        self._fleet.start()
        return 1

    async def _caught(self) -> ServiceProcess | None:
        """Return a relay that has published something and waits to strike it out."""
        async with self._database.connected() as connection, connection.transaction():
            if not await connection.fetch(_HOLD):
                return None
            with suppress(AssertionError):
                port = await eventually(lambda: connection.fetchval(_WAITING), _CAUGHT_SECONDS)
                return next((relay for relay in self._fleet.relays if port in relay.ports()), None)
        return None

    async def relay_replaced(self) -> int:
        replaced = self._fleet.any()
        self._fleet.start()
        await self._fleet.stop(replaced)
        return 0

    async def relay_frozen(self) -> int:
        frozen = self._fleet.any()
        ports = frozen.ports()
        frozen.freeze()
        try:
            taken_over = await self._has_no_session(ports)
        finally:
            frozen.wake()
        self._note(Kind.RELAY_FROZEN, "taken over" if taken_over else "not taken over")
        return 1

    async def _has_no_session(self, ports: list[int]) -> bool:
        async def gone() -> bool:
            return not await self._database.sessions(ports)

        with suppress(AssertionError):
            return await eventually(gone, _TAKEOVER_SECONDS)
        return False

    async def relay_added(self) -> int:
        added = self._fleet.start()
        with suppress(AssertionError):
            await eventually(lambda: added.said("outbox.serving"))
        await self._writers.burst(self._rng)
        await self._a_moment()
        await self._fleet.stop(added)
        return 0

    # The broker

    async def broker_restarted(self) -> int:
        await self._servers.stop_broker()
        await self._a_moment(2)
        await self._servers.start_broker()
        return self._fleet.size

    async def broker_killed(self) -> int:
        await self._servers.kill_broker()
        await self._a_moment(2)
        await self._servers.start_broker()
        return self._fleet.size

    async def connections_closed(self) -> int:
        management = self._servers.management()
        try:
            closed = await eventually(lambda: management.close_connections(self._url))
        finally:
            await management.aclose()
        self._note(Kind.CONNECTIONS_CLOSED, f"{closed} closed")
        return self._fleet.size

    async def memory_alarm(self) -> int:
        await self._servers.raise_memory_alarm()
        await self._writers.burst(self._rng)
        await self._a_moment(3)
        await self._servers.clear_memory_alarm()
        return 0

    # PostgreSQL

    async def sessions_killed(self) -> int:
        killed = len(await self._database.fetch(_KILL_SESSIONS))
        self._note(Kind.SESSIONS_KILLED, f"{killed} killed")
        return self._fleet.size

    async def postgres_crashed(self) -> int:
        await self._servers.crash_postgres()
        await self._a_moment(2)
        await self._servers.start_postgres()
        return self._fleet.size

    async def postgres_stopped(self) -> int:
        await self._servers.stop_postgres_at_once()
        await self._a_moment(2)
        await self._servers.start_postgres()
        return self._fleet.size

    # Events

    async def poison(self) -> int:
        """Write what cannot go out, among the good events of the same aggregates."""
        for kind in ("exchange", "unheard", "size"):
            await self._writers.burst(self._rng)
            self.poisons.append(await self._database.poison(self._rng.choice(self._writers.aggregates), kind))
        return 0

    async def replay(self) -> int:
        """Replay what is parked, although its cause is still there, and some of what went out long ago."""
        parked = [one.id for one in self.poisons]
        published = await self._database.published(_REPLAYED)
        with suppress(*CONNECTION_ERRORS):
            await self._database.replay(parked)
            self.replayed += await self._database.replay(published)
        return 0
