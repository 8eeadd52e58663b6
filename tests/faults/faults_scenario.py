"""A scenario: writers, relays, faults one after the other, and what there is to say about it afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from uuid import UUID

from alta_common.ids import new_id
from alta_common.messaging.topology import declare_topology
from alta_common.testing import eventually
from faults_observer import Observer
from faults_outbox import SCHEMA, UNHEARD, OutboxDatabase, Poison
from faults_plan import Step
from faults_processes import Fleet, process_environment
from faults_report import Happened
from faults_servers import PrivateServers
from faults_strikes import Strikes
from faults_verdict import Verdict, judge
from faults_writers import Writers

RELAY = ["-m", "alta_outbox_relay.main"]


@dataclass(frozen=True)
class Size:
    """How much there is of everything."""

    events: int
    aggregates: int = 300
    writers: int = 6
    relays: int = 2
    batch: int = 200

    @property
    def settings(self) -> dict[str, str]:
        """Return the relays' settings. Retries are quick, so that what nobody hears is parked within seconds."""
        return {
            "OUTBOX_SCHEMAS": SCHEMA,
            "OUTBOX_BATCH_SIZE": str(self.batch),
            "OUTBOX_STALE_SECONDS": "2",
            "OUTBOX_RETRY_DELAY": "0.02",
            "OUTBOX_MAX_RETRIES": "6",
        }


@dataclass
class Outcome:
    """What there is to say."""

    happened: list[Happened] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    parked: int = 0
    poisons: int = 0
    seconds: float = 0.0
    verdict: Verdict = field(default_factory=lambda: Verdict(0, 0, 0))


class Scenario:
    """The parts of a scenario. `run` takes the steps and judges what has arrived."""

    def __init__(self, seed: str, size: Size, database: OutboxDatabase, url: str, parts: "Parts") -> None:
        self._rng = Random(seed)
        self._size = size
        self._observer = Observer(url)
        self.database = database
        self.fleet = parts.fleet
        self.writers = parts.writers
        self.strikes = Strikes(
            parts.servers, database, self._observer, parts.fleet, parts.writers, Random(f"{seed}-strikes")
        )
        self._started = time.monotonic()
        self._outcome = Outcome()
        self._arrived: list[UUID] = []
        self._heard_late: list[UUID] = []

    async def run(self, steps: Sequence[Step], tell: Callable[[Happened], None] = lambda _: None) -> Outcome:
        """Take the steps, let everything arrive, and judge. `tell` hears of each step taken."""
        await self.start_relays()
        self.writers.start()
        events = self._size.events
        for number, step in enumerate(steps):
            self.writers.allow(events * (number + 1) // len(steps))
            # Somewhere within this step's part of the events; the rest of them is written meanwhile.
            await self._written(int(events * (number + self._rng.uniform(0.1, 0.9)) / len(steps)))
            if self._rng.random() < 0.5:
                await self.writers.burst(self._rng)
            tell(await self.strike(step))
        await self._written(events)
        await self.writers.stop()
        return await self.settle()

    async def start_relays(self) -> None:
        """Start the relays and wait until they serve."""
        for relay in [self.fleet.start() for _ in range(self._size.relays)]:
            await eventually(partial(relay.said, "outbox.serving"), 180)

    async def strike(self, step: Step) -> Happened:
        """Strike now."""
        written = len(self.writers.acknowledged)
        # A queue whose broker has just come back may still say that it is empty.
        arrived = max(await self._observer.count(), *(one.arrived for one in self._outcome.happened), 0)
        at = time.monotonic()
        hit = await asyncio.gather(*(self.strikes.strike(kind) for kind in step))
        self.fleet.check()
        happened = Happened(step, at - self._started, time.monotonic() - at, written, sum(hit), arrived)
        self._outcome.happened.append(happened)
        return happened

    async def _written(self, events: int) -> None:
        while self.writers.written < events:
            self.writers.check()
            await asyncio.sleep(0.01)

    async def verdict(self) -> Verdict:
        """Judge what has arrived; everything that was written must have gone out."""
        self._arrived += await self._observer.collect()
        # On a machine that is busy enough, a relay may seem frozen to the others without our doing.
        ended = self.fleet.times_said("outbox.silent_relay_ended")
        hit = sum(one.relays_hit for one in self._outcome.happened) + ended
        return judge(
            await self.database.written(),
            self.writers.acknowledged,
            self._arrived,
            also_expected=self._heard_late,
            allowed_duplicates=self.strikes.replayed + self._size.batch * hit,
        )

    async def settle(self) -> Outcome:
        """Let everything arrive, replay what can go out after all, stop the relays, and judge."""
        outcome, poisons = self._outcome, self.strikes.poisons
        await self.database.drained()
        parked = await self.database.parked()
        await self._hear([poison for poison in poisons if poison.is_unheard])
        await self.fleet.stop_all()
        outcome.verdict = await self.verdict()
        _count_duplicates(outcome.happened, self._arrived)
        if parked != {poison.event_id for poison in poisons}:
            outcome.verdict.problems.append(f"{len(parked)} parked, {len(poisons)} events were to be parked")
        if still := await self.database.parked() - {one.event_id for one in poisons if not one.is_unheard}:
            outcome.verdict.problems.append(f"{len(still)} still parked, although somebody hears them now")
        outcome.parked, outcome.poisons, outcome.notes = len(parked), len(poisons), self.strikes.notes
        outcome.seconds = time.monotonic() - self._started
        return outcome

    async def _hear(self, unheard: Sequence[Poison]) -> None:
        """Take the cause away from what nobody heard, and replay it."""
        await self._observer.bind(UNHEARD)
        await self.database.replay([poison.id for poison in unheard])
        await self.database.drained()
        self._heard_late = [poison.event_id for poison in unheard]


def _count_duplicates(happened: Sequence[Happened], arrived: Sequence[UUID]) -> None:
    """Lay each copy at the door of the last step before it. (It may have been the one before that.)"""
    seen: set[UUID] = set()
    for position, event_id in enumerate(arrived):
        if event_id in seen:
            step = next((one for one in reversed(happened) if one.arrived <= position), happened[0])
            step.duplicates += 1
        seen.add(event_id)


@dataclass(frozen=True)
class Parts:
    """What a scenario works on."""

    servers: PrivateServers
    fleet: Fleet
    writers: Writers


@asynccontextmanager
async def prepared(
    servers: PrivateServers, folder: Path, seed: str, size: Size, **settings: str
) -> AsyncIterator[Scenario]:
    """Prepare a scenario on a database and a virtual host of its own; whatever happens, its processes end with it."""
    database = OutboxDatabase(await servers.new_database())
    aggregates = [new_id() for _ in range(size.aggregates)]
    await database.create(aggregates)
    management = servers.management()
    url = management.new_vhost_url()
    await management.create_vhost(url)
    await declare_topology(url)
    await Observer(url).bind()
    environment = process_environment(database.database.environment("relay"), url, **size.settings | settings)
    fleet = Fleet("relay", RELAY, environment, folder, Random(f"{seed}-fleet"))
    writers = Writers(database.database, aggregates, seed, size.writers)
    try:
        yield Scenario(seed, size, database, url, Parts(servers, fleet, writers))
    finally:
        fleet.kill_all()
        await writers.stop()
        await management.delete_vhost(url)
        await management.aclose()
