"""A scenario: writers, relays, faults one after the other, and what there is to say about it afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from uuid import UUID

from alta_common.db.lost import CONNECTION_ERRORS
from alta_common.ids import new_id
from alta_common.messaging.topology import declare_topology
from alta_common.testing import eventually
from faults_copies import too_many_copies
from faults_observer import Observer
from faults_outbox import SCHEMA, UNHEARD, OutboxDatabase, Poison
from faults_plan import Step
from faults_processes import Fleet, process_environment
from faults_report import Before, Happened
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
        self._too_early: set[UUID] = set()
        self._struck_at = 0
        """The last id when the last strike was over: nothing above it can have been repeated by that."""

    async def run(self, steps: Sequence[Step], tell: Callable[[Happened], None] = lambda _: None) -> Outcome:
        """Take the steps, let everything arrive, and judge. `tell` hears of each step taken."""
        await self.start_relays()
        self.writers.start()
        async with self._watched():
            for number, step in enumerate(steps):
                await self._in_the_middle_of(number, len(steps))
                tell(await self.strike(step))
            await self._written(self._size.events)
        await self.writers.stop()
        return await self.settle()

    async def _in_the_middle_of(self, number: int, steps: int) -> None:
        """Return somewhere within this step's part of the events; the rest of them is written meanwhile."""
        events = self._size.events
        self.writers.allow(events * (number + 1) // steps)
        if self._rng.random() < 0.5:
            await self._nothing_to_repeat()
        await self._written(int(events * (number + self._rng.uniform(0.1, 0.9)) / steps))
        if self._rng.random() < 0.5:
            await self.writers.burst(self._rng)

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        """Note meanwhile what goes out before its time. What goes out only a moment too early is not seen."""

        async def watch() -> None:
            while True:
                with suppress(*CONNECTION_ERRORS):
                    self._too_early |= await self.database.too_early()
                await asyncio.sleep(0.3)

        watching = asyncio.ensure_future(watch())
        try:
            yield
        finally:
            watching.cancel()

    async def drain(
        self, backlog: int, steps: Sequence[Step], tell: Callable[[Happened], None] = lambda _: None
    ) -> Outcome:
        """Write a backlog at once, take the steps while it shrinks, and judge."""
        await self.database.fill(backlog, self.writers.aggregates)
        await self.start_relays()
        for number, step in enumerate(steps, start=1):
            await self._shrunk_to(backlog - backlog * number // (len(steps) + 1))
            tell(await self.strike(step))
        return await self.settle()

    async def _shrunk_to(self, waiting: int) -> None:
        at = time.monotonic()
        while await self.database.pending() > waiting:
            await asyncio.sleep(max(0.1, 5 * (time.monotonic() - at)))
            at = time.monotonic()

    async def start_relays(self) -> None:
        """Start the relays and wait until they serve."""
        for relay in [self.fleet.start() for _ in range(self._size.relays)]:
            await eventually(partial(relay.said, "outbox.serving"), 180)

    async def strike(self, step: Step, before: Before | None = None) -> Happened:
        """Strike now, or where somebody has just looked what there was `before`."""
        written, before = len(self.writers.acknowledged), before or await self.before()
        at = time.monotonic()
        hit = await asyncio.gather(*(self.strikes.strike(kind) for kind in step))
        self.fleet.check()
        self._struck_at = await self.database.last_id()
        happened = Happened(step, at - self._started, time.monotonic() - at, written, before, sum(hit))
        self._outcome.happened.append(happened)
        return happened

    async def before(self) -> Before:
        """Return what there is now."""
        alone = not await self.database.pending(self._struck_at)
        # A queue whose broker has just come back may still say that it is empty.
        arrived = max(
            len(self._arrived) + await self._observer.count(),
            *(one.before.arrived for one in self._outcome.happened),
            0,
        )
        return Before(arrived, await self.database.pending(), self._excused, alone)

    @property
    def _excused(self) -> int:
        """Return how many copies are not the strikes' doing: replays, and relays that others took for frozen."""
        # On a machine that is busy enough, a relay may seem frozen to the others without our doing.
        return self.strikes.replayed + self._size.batch * self.fleet.times_said("outbox.silent_relay_ended")

    async def _nothing_to_repeat(self) -> None:
        """Return when everything has gone out that the last strike may have repeated, or will not for a while."""

        async def gone() -> bool:
            return not await self.database.pending(self._struck_at)

        with suppress(AssertionError):
            await eventually(gone)

    async def _written(self, events: int) -> None:
        while self.writers.written < events:
            self.writers.check()
            await asyncio.sleep(0.01)

    async def verdict(self) -> Verdict:
        """Judge what has arrived; everything that was written must have gone out."""
        self._arrived += await self._observer.collect()
        happened, excused, batch = self._outcome.happened, self._excused, self._size.batch
        verdict = judge(
            await self.database.written(),
            self.writers.acknowledged,
            self._arrived,
            also_expected=self._heard_late,
            allowed_duplicates=excused + batch * sum(one.relays_hit for one in happened),
        )
        if self._too_early:
            verdict.problems.append(f"{len(self._too_early)} before their time: {sorted(self._too_early)[:3]}")
        verdict.problems += too_many_copies(happened, self._arrived, batch, excused)
        return verdict

    async def settle(self) -> Outcome:
        """Let everything arrive, replay what can go out after all, stop the relays, and judge."""
        outcome, poisons = self._outcome, self.strikes.poisons
        await self.database.drained()
        parked = await self.database.parked()
        await self._hear([poison for poison in poisons if poison.is_unheard])
        await self.fleet.stop_all()
        outcome.verdict = await self.verdict()
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
