"""The same for consumers: messages, consumers, faults, and effects that must have happened once."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random

import aio_pika

from alta_common.inbox.table import create_inbox
from alta_common.messaging.envelope import REASON
from alta_common.messaging.topology import EMAIL_QUEUE, dead_queue_of, declare_topology
from alta_common.testing import eventually
from faults_consumer_program import LADDER, SCHEMA
from faults_database import Database
from faults_messages import Publisher
from faults_plan import Step
from faults_processes import Fleet, process_environment
from faults_report import Happened
from faults_server_strikes import ServerStrikes
from faults_servers import PrivateServers

_CONSUMERS = 2
_STALLED_SECONDS = 240
_BACKLOG_SECONDS = 3
# An `EventPublisher` waits half a minute for a confirm.
_LONG_ALARM_SECONDS = 40
PROGRAM = [str(Path(__file__).with_name("faults_consumer_program.py"))]

_INVERSIONS = """
SELECT event_id FROM (
    SELECT event_id, name::integer AS number, max(name::integer) OVER earlier AS highest
    FROM notifications.fault_effect
    WINDOW earlier AS (PARTITION BY aggregate_id ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
) effects WHERE number < highest
"""


class ConsumerStrikes(ServerStrikes):
    """Strikes consumers and servers."""

    def __init__(self, servers: PrivateServers, database: Database, url: str, fleet: Fleet, rng: Random) -> None:
        super().__init__(rng, servers, database, url, self._a_moment)
        self._fleet = fleet

    async def consumer_killed(self) -> None:
        self._fleet.kill(self._fleet.any())
        await self._a_moment()
        self._fleet.start()

    async def consumer_replaced(self) -> None:
        replaced = self._fleet.any()
        self._fleet.start()
        await self._fleet.stop(replaced)

    async def consumer_frozen(self) -> None:
        frozen = self._fleet.any()
        frozen.freeze()
        try:
            await self.connections_closed()
            await self._a_moment(2)
        finally:
            frozen.wake()

    async def long_alarm(self) -> None:
        """Raise it over a backlog: what fails then, and what is poison, has to be published somewhere."""
        consumers = [consumer for consumer in self._fleet.processes if not consumer.frozen]
        for consumer in consumers:
            consumer.freeze()
        try:
            await asyncio.sleep(_BACKLOG_SECONDS)
            await self._servers.raise_memory_alarm()
        finally:
            for consumer in consumers:
                consumer.wake()
        await asyncio.sleep(_LONG_ALARM_SECONDS)
        await self._servers.clear_memory_alarm()


class ConsumerScenario:
    """Messages are published, consumed and struck at."""

    def __init__(
        self,
        seed: str,
        strikes: ConsumerStrikes,
        database: Database,
        publisher: Publisher,
        fleet: Fleet,
        *,
        ordered: bool,
    ) -> None:
        self._ordered = ordered
        self._rng = Random(seed)
        self._database = database
        self._fleet = fleet
        self._started = time.monotonic()
        self.publisher = publisher
        self.strikes = strikes
        self.happened: list[Happened] = []
        self.dead: dict[str, str] = {}
        """Messages found among the dead, and why they are there."""

    async def run(
        self, steps: Sequence[Step], messages: int, tell: Callable[[Happened], None] = lambda _: None
    ) -> list[str]:
        """Take the steps, wait until everything is handled, and return what is wrong."""
        for consumer in [self._fleet.start() for _ in range(_CONSUMERS)]:
            await eventually(partial(consumer.said, "consumers.started"), 180)
        self.publisher.start()
        for number, step in enumerate(steps):
            self.publisher.allow(messages * (number + 1) // len(steps))
            await self._published(int(messages * (number + self._rng.uniform(0.1, 0.9)) / len(steps)))
            self.happened.append(await self._take(step))
            tell(self.happened[-1])
        await self._published(messages)
        await self.publisher.stop()
        await self._handled()
        await self._fleet.stop_all()
        return await self._problems()

    async def _take(self, step: Step) -> Happened:
        published, at = len(self.publisher.published), time.monotonic()
        await asyncio.gather(*(getattr(self.strikes, kind.value)() for kind in step))
        self._fleet.check()
        return Happened(step, at - self._started, time.monotonic() - at, published)

    async def _published(self, messages: int) -> None:
        while len(self.publisher.published) < messages:
            self.publisher.check()
            await asyncio.sleep(0.01)

    async def _handled(self) -> None:
        """Return when every message has had its effect or lies among the dead; fail when nothing moves any more."""
        most, moved_at = -1, time.monotonic()
        wanted = len(self.publisher.published) + len(self.publisher.poison)
        while True:
            self.dead |= await self._read_dead()
            done = len(await self._effects()) + len(self.dead)
            if done >= wanted:
                return
            if done > most:
                most, moved_at = done, time.monotonic()
            assert time.monotonic() < moved_at + _STALLED_SECONDS, f"{done} of {wanted} handled, and nothing moves"
            await asyncio.sleep(0.3)

    async def _effects(self) -> Counter[str]:
        rows = await self._database.fetch(
            "SELECT event_id, count(*) AS times FROM notifications.fault_effect GROUP BY 1"
        )
        return Counter({str(row["event_id"]): row["times"] for row in rows})

    async def _inversions(self) -> set[str]:
        """Return events whose effect came after that of a later one, where that matters."""
        if not self._ordered:
            return set()
        rows = await self._database.fetch(_INVERSIONS)
        return {str(row["event_id"]) for row in rows}

    async def _read_dead(self) -> dict[str, str]:
        """Take what has arrived among the dead."""
        dead: dict[str, str] = {}
        async with await aio_pika.connect(self.strikes.url) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue(dead_queue_of(EMAIL_QUEUE))
            while message := await queue.get(fail=False):
                dead[str(message.message_id)] = str(message.headers.get(REASON))
                await message.ack()
        return dead

    async def _problems(self) -> list[str]:
        """Compare. A poisoned message may lie among the dead twice: its copy is safe before it is acknowledged."""
        effects = await self._effects()
        self.dead |= await self._read_dead()
        wanted, poison = set(map(str, self.publisher.published)), self.publisher.poison
        checks = {
            "had no effect": wanted - effects.keys(),
            "had their effect more than once": {one for one, times in effects.items() if times > 1},
            "had an effect and were never published": effects.keys() - wanted,
            "are not among the dead": poison.keys() - self.dead.keys(),
            "are among the dead by mistake": self.dead.keys() - poison.keys(),
            "had their effect before an earlier one of their aggregate": await self._inversions()
            if self._ordered
            else set(),
            "are dead for another reason": {one for one in poison if self.dead.get(one, poison[one]) != poison[one]},
        }
        return [f"{len(found)} {what}: {sorted(found)[:3]}" for what, found in checks.items() if found]


@asynccontextmanager
async def prepared_consumers(
    servers: PrivateServers, folder: Path, seed: str, poison: Sequence[str], partitions: int = 0
) -> AsyncIterator[ConsumerScenario]:
    """Prepare a scenario on a database and a virtual host of its own; its processes end with it.

    With `partitions` the consumers keep the order of each aggregate.
    """
    database = Database(await servers.new_database())
    effects = (
        f"CREATE TABLE {SCHEMA}.fault_effect (position bigserial, event_id uuid NOT NULL, aggregate_id uuid, name text)"
    )
    await database.execute_as(SCHEMA, *create_inbox(SCHEMA), effects)
    management = servers.management()
    url = management.new_vhost_url()
    await management.create_vhost(url)
    await declare_topology(url, LADDER)
    environment = process_environment(database.database.environment(SCHEMA), url, ORDERED_PARTITIONS=str(partitions))
    fleet = Fleet("consumer", PROGRAM, environment, folder, Random(f"{seed}-fleet"))
    publisher = Publisher(url, Random(f"{seed}-messages"), poison)
    strikes = ConsumerStrikes(servers, database, url, fleet, Random(f"{seed}-strikes"))
    try:
        yield ConsumerScenario(seed, strikes, database, publisher, fleet, ordered=partitions > 0)
    finally:
        fleet.kill_all()
        await publisher.stop()
        await management.delete_vhost(url)
        await management.aclose()
