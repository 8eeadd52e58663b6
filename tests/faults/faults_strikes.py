"""What is done to the system, one method a kind of fault. Each leaves the system able to go on."""

from contextlib import suppress
from random import Random

import asyncpg

from alta_common.db.lost import CONNECTION_ERRORS
from alta_common.testing import eventually
from faults_observer import Observer
from faults_outbox import OutboxDatabase, Poison
from faults_plan import Kind
from faults_processes import Fleet, ServiceProcess
from faults_server_strikes import ServerStrikes
from faults_servers import PrivateServers
from faults_writers import Writers

_TAKEOVER_SECONDS = 60
_CAUGHT_SECONDS = 20
_REPLAYED = 20

# The relay cannot strike out what others look at.
_HOLD = "SELECT id FROM projects.outbox_pending ORDER BY id LIMIT 50 FOR UPDATE SKIP LOCKED"
_WAITING = """
SELECT a.pid, a.client_port FROM pg_stat_activity a
WHERE pg_backend_pid() = ANY (pg_blocking_pids(a.pid)) AND a.usename = 'alta_relay' AND a.client_port IS NOT NULL
"""


# How many relays one of these makes publish a batch twice; of all others, as many as there are.
_HIT = {
    Kind.RELAY_KILLED: 1,
    Kind.RELAY_CAUGHT: 1,
    Kind.RELAY_FROZEN: 0,  # whoever takes over says so in its log, and is counted there
    Kind.RELAY_REPLACED: 0,
    Kind.RELAY_ADDED: 0,
    Kind.MEMORY_ALARM: 0,
    Kind.POISON: 0,
    Kind.REPLAY: 0,
    Kind.UNHEARD: 0,
}

# Most of it is what is tried again, for seconds, and holds back what follows in its aggregate.
_POISON = ("exchange", "unheard", "unheard", "size", "unheard", "unheard")


class Strikes(ServerStrikes):
    """Strikes relays and servers, and writes events that are wrong."""

    def __init__(
        self,
        servers: PrivateServers,
        database: OutboxDatabase,
        observer: Observer,
        fleet: Fleet,
        writers: Writers,
        rng: Random,
    ) -> None:
        super().__init__(rng, servers, database, observer.url, lambda: writers.burst(rng))
        self._outbox = database
        self._observer = observer
        self._fleet = fleet
        self._writers = writers
        self.poisons: list[Poison] = []
        self.replayed = 0
        """Events that were published again because they were asked for again."""

    async def strike(self, kind: Kind) -> int:
        """Do it; return how many relays may each publish a batch twice because of it."""
        hit = _HIT.get(kind, self._fleet.size)
        await getattr(self, kind.value)()
        return hit

    # Relays

    async def relay_killed(self) -> None:
        self._fleet.kill(self._fleet.any())
        await self._a_moment()
        self._fleet.start()

    async def relay_caught(self) -> None:
        async with self._outbox.connected() as connection, connection.transaction():
            caught = await self._caught(connection)
            self._note(Kind.RELAY_CAUGHT, "caught" if caught else "not caught")
            relay, session = caught or (self._fleet.any(), None)
            self._fleet.kill(relay)
            # PostgreSQL does not notice that nobody waits for its answer: it would strike out once we let go.
            await connection.fetchval("SELECT pg_terminate_backend($1, 10000)", session)
        await self._a_moment()
        self._fleet.start()

    async def _caught(self, connection: asyncpg.Connection) -> tuple[ServiceProcess, int] | None:
        """Return a relay that has published something and waits to strike it out, and its session, which we hold up."""
        with suppress(AssertionError):
            await eventually(lambda: self._hold(connection))
            waiting = await eventually(lambda: connection.fetchrow(_WAITING), _CAUGHT_SECONDS)
            relays = (relay for relay in self._fleet.processes if waiting["client_port"] in relay.ports())
            if relay := next(relays, None):
                return relay, waiting["pid"]
        return None

    async def _hold(self, connection: asyncpg.Connection) -> bool:
        """Hold some of what waits; say whether there was any, for the relays may be through with it before we come."""
        await self._load()
        return bool(await connection.fetch(_HOLD))

    async def relay_replaced(self) -> None:
        replaced = self._fleet.any()
        self._fleet.start()
        await self._fleet.stop(replaced)

    async def relay_frozen(self) -> None:
        frozen = self._fleet.any()
        ports = await self._ports_in_use(frozen)
        frozen.freeze()
        try:
            taken_over = await self._has_no_session(ports)
            await self._a_moment(2)
        finally:
            frozen.wake()
        self._note(Kind.RELAY_FROZEN, "taken over" if taken_over else "not taken over")

    async def _ports_in_use(self, relay: ServiceProcess) -> list[int]:
        """Return the ports of a relay once it serves: it may just have lost its session to the strike before."""

        async def serves() -> bool:
            return bool(await self._outbox.sessions(relay.ports()))

        with suppress(AssertionError):
            await eventually(serves)
        return relay.ports()

    async def _has_no_session(self, ports: list[int]) -> bool:
        async def gone() -> bool:
            return not await self._outbox.sessions(ports)

        with suppress(AssertionError):
            return await eventually(gone, _TAKEOVER_SECONDS)
        return False

    async def relay_added(self) -> None:
        added = self._fleet.start()
        with suppress(AssertionError):
            await eventually(lambda: added.said("outbox.serving"))
        await self._writers.burst(self._rng)
        await self._a_moment()
        await self._fleet.stop(added)

    # Events

    async def poison(self) -> None:
        """Write what cannot go out, among the good events of the same aggregates."""
        for kind in _POISON:
            self.poisons.append(await self._outbox.poison(self._rng.choice(self._writers.aggregates), kind))
        await self._writers.burst(self._rng, each=2)
        await self._a_moment(2)
        await self._writers.burst(self._rng)

    async def unheard(self) -> None:
        """Leave the events of the writers without a queue for a while: each is tried again, in its place."""
        await self._observer.unbind()
        await self._writers.burst(self._rng)
        await self._a_moment(1)
        await self._observer.bind()

    async def replay(self) -> None:
        """Replay what is parked, although its cause is still there, and some of what went out long ago."""
        parked = [one.id for one in self.poisons]
        published = await self._outbox.published(_REPLAYED)
        with suppress(*CONNECTION_ERRORS):
            await self._outbox.replay(parked)
            self.replayed += await self._outbox.replay(published)
