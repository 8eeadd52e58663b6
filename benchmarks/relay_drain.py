"""How fast a backlog reaches the broker."""

import statistics
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg

from figures import Figure, cpu_seconds_of_family, note, peak_megabytes_of
from relay_rivals import CClient, NaiveRelay
from relay_stage import Relay, Stage, relays

AGGREGATES = 10_000
FEW_AGGREGATES = 10
NAIVE_EVENTS = 500
MILLION = 1_000_000


@dataclass(frozen=True)
class Drained:
    """What draining a backlog took."""

    count: int
    seconds: float
    cpu_seconds: dict[str, float]
    """By process: the servers, and each relay."""

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.count / self.seconds

    def cores(self, name: str | None) -> float:
        """Return how many cores one of the processes kept busy, or all of them together."""
        return (sum(self.cpu_seconds.values()) if name is None else self.cpu_seconds[name]) / self.seconds

    def split(self) -> str:
        """Say whose CPU time it was."""
        parts = (f"{name} {self.cores(name):.0%}" for name in self.cpu_seconds)
        return f"{self.rate:.0f} events/s; of a core: {', '.join(parts)}"


async def drain(stage: Stage, running: list[Relay], count: int, aggregates: int) -> Drained:
    """Give running relays a backlog, and return what they needed to publish it and strike it out."""
    await stage.empty()
    async with stage.backlog(count, aggregates):
        await stage.tidy()
    before, begun = _cpu(stage, running), time.perf_counter()
    await stage.wake()
    await stage.arrived(count)
    seconds, after = time.perf_counter() - begun, _cpu(stage, running)
    if await stage.queued() != count:
        raise RuntimeError("some events were published twice, though nothing has failed")
    return Drained(count, seconds, {name: after[name] - before[name] for name in after})


def _cpu(stage: Stage, running: list[Relay]) -> dict[str, float]:
    return stage.cpu_seconds() | {f"relay {n}": cpu_seconds_of_family(one.pid) for n, one in enumerate(running, 1)}


async def beside_others(
    stage: Stage, client: CClient | None, rounds: int, events: int, profile: Path | None
) -> AsyncIterator[Figure]:
    """Measure one relay beside the C client and the naive relay, in turn, and what strict order costs."""
    rates: dict[str, list[float]] = defaultdict(list)
    naive_relay = NaiveRelay(stage)
    async with relays(stage, profile=profile) as running:

        async def relay() -> None:
            drained = await drain(stage, running, events, AGGREGATES)
            note(f"relay: {drained.split()}")
            rates["relay"].append(drained.rate)
            await naive_relay.prepare(NAIVE_EVENTS)
            rates["naive"].append(NAIVE_EVENTS / await naive_relay.seconds())

        async def strict() -> None:
            rates["strict"].append((await drain(stage, running, events // 5, FEW_AGGREGATES)).rate)

        async def publish(name: str, headers: bool) -> None:
            if client is not None:
                rates[name].append(await _published(stage, client, events, headers=headers))

        # Another one is first each time: what a broker has to tidy up is that of the one before.
        turns: deque[Callable[[], Awaitable[None]]] = deque(
            (relay, partial(publish, "client", True), strict, partial(publish, "bare client", False))
        )
        for _ in range(rounds):
            for measure in turns:
                await measure()
            turns.rotate(-1)
    found = {name: statistics.median(several) for name, several in rates.items()}
    yield Figure("relay.drain_beside_c_client", found["relay"], "events/s", found.get("client"))
    yield Figure("relay.drain_beside_bare_c_client", found["relay"], "events/s", found.get("bare client"))
    yield Figure("relay.drain_beside_naive_relay", found["relay"], "events/s", found["naive"])
    yield Figure("relay.drain_of_10_aggregates", found["strict"], "events/s", found["relay"])


async def _published(stage: Stage, client: CClient, count: int, *, headers: bool) -> float:
    await stage.empty()
    before = stage.cpu_seconds()["rabbitmq"]
    seconds = await client.seconds(stage.infra.amqp_url, count, headers=headers)
    spent = stage.cpu_seconds()["rabbitmq"] - before
    note(f"C client: {count / seconds:.0f} messages/s; of a core: rabbitmq {spent / seconds:.0%}")
    return count / seconds


async def under_pinned_xmin(stage: Stage, rounds: int, events: int) -> Figure:
    """Measure what a transaction that stays open elsewhere costs: nothing that is deleted may be removed meanwhile."""
    free, pinned = [], []
    async with relays(stage) as running:
        for _ in range(rounds):
            free.append((await drain(stage, running, events, AGGREGATES)).rate)
            async with _pinned_xmin(stage):
                pinned.append((await drain(stage, running, events, AGGREGATES)).rate)
    return Figure("relay.drain_under_pinned_xmin", statistics.median(pinned), "events/s", statistics.median(free))


@asynccontextmanager
async def _pinned_xmin(stage: Stage) -> AsyncIterator[None]:
    holder = await asyncpg.connect(stage.database.superuser_dsn)
    try:
        async with holder.transaction(isolation="repeatable_read"):
            await holder.execute("SELECT pg_current_xact_id()")
            yield
    finally:
        await holder.close()


async def two_relays(stage: Stage, rounds: int, events: int) -> AsyncIterator[Figure]:
    """Measure two relays beside one, and how busy the broker is then: beyond that no relay can go."""
    drained: dict[int, list[Drained]] = {1: [], 2: []}
    for _ in range(rounds):
        for count, several in drained.items():
            async with relays(stage, count) as running:
                several.append(await drain(stage, running, events, AGGREGATES))
                note(f"{count} at work: {several[-1].split()}")
    one, two = (statistics.median(each.rate for each in several) for several in drained.values())
    yield Figure("relay.two_relays", two, "events/s", one)
    of_broker, of_all = (statistics.median(each.cores(name) for each in drained[2]) for name in ("rabbitmq", None))
    yield Figure("relay.cores_of_broker_with_two_relays", of_broker, "cores", of_all)


async def of_a_million(stage: Stage, rounds: int, events: int) -> AsyncIterator[Figure]:
    """Measure a backlog of a million, and one more with `xmin` pinned, beside smaller ones before and after."""
    small, large, pinned = [], [], []
    for _ in range(rounds):
        async with relays(stage) as running:
            small.append((await drain(stage, running, events, AGGREGATES)).rate)
            peak = peak_megabytes_of(running[0].pid)
            large.append((await drain(stage, running, MILLION, AGGREGATES)).rate)
            peak_large = peak_megabytes_of(running[0].pid)
            # Once more, beside a broker that has begun to write its segments.
            small.append((await drain(stage, running, events, AGGREGATES)).rate)
            async with _pinned_xmin(stage):
                pinned.append((await drain(stage, running, MILLION, AGGREGATES)).rate)
            rates = f"{small[-2]:.0f}, {large[-1]:.0f}, {small[-1]:.0f}, pinned {pinned[-1]:.0f}"
            note(f"rates {rates}; {peak:.0f} and {peak_large:.0f} MB")
    rate = statistics.median(small)
    yield Figure("relay.drain_of_a_million", statistics.median(large), "events/s", rate)
    yield Figure("relay.drain_of_a_million_under_pinned_xmin", statistics.median(pinned), "events/s", rate)
    yield Figure("relay.memory_with_a_million", peak_large, "MB", peak)
