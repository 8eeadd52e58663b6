"""How fast a backlog reaches the broker."""

import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from figures import Figure, cpu_seconds_of_family, note, peak_megabytes_of
from relay_rivals import CClient, NaiveRelay
from relay_stage import Relay, Stage, relays

AGGREGATES = 10_000
FEW_AGGREGATES = 10
NAIVE_EVENTS = 1000


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

    def split(self) -> str:
        """Say whose CPU time it was."""
        parts = (f"{name} {spent / self.seconds:.0%}" for name, spent in self.cpu_seconds.items())
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
    stage: Stage, client: CClient | None, count: int, rounds: int, profile: Path | None
) -> AsyncIterator[Figure]:
    """Measure one relay beside the C client and the naive relay, in turn, and what strict order costs."""
    spread, strict, naive, peak = [], [], [], 0.0
    bare: list[float] = []
    alike: list[float] = []
    naive_relay = NaiveRelay(stage)
    async with relays(stage, profile=profile) as running:
        for number in range(rounds):
            drained = await drain(stage, running, count, AGGREGATES)
            note(f"drain {number + 1}: {drained.split()}")
            spread.append(drained.rate)
            await naive_relay.prepare(NAIVE_EVENTS)
            naive.append(NAIVE_EVENTS / await naive_relay.seconds())
            if client is not None:
                for rates, headers in ((bare, False), (alike, True)):
                    await stage.empty()
                    rates.append(count / await client.seconds(stage.infra.amqp_url, count, headers=headers))
            strict.append((await drain(stage, running, count // 10, FEW_AGGREGATES)).rate)
        peak = max(peak_megabytes_of(relay.pid) for relay in running)
    rate = statistics.median(spread)
    c_rate, c_rate_alike = (statistics.median(rates) if rates else None for rates in (bare, alike))
    yield Figure("relay.drain_beside_c_client", rate, "events/s", c_rate)
    yield Figure("relay.drain_beside_c_client_with_headers", rate, "events/s", c_rate_alike)
    yield Figure("relay.drain_beside_naive", rate, "events/s", statistics.median(naive))
    yield Figure("relay.drain_of_10_aggregates", statistics.median(strict), "events/s", rate)
    yield Figure("relay.memory", peak, "MB", None)
