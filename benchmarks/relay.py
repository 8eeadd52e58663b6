"""How fast and how cheaply events get from a transaction to the broker, beside a C client and the usual simple relay.

Prints one JSON line a figure: {"benchmark", "value", "unit", "reference", "ratio"}; what else there is to say goes to
stderr. Everything runs on servers of its own: PostgreSQL with its defaults (so with fsync), RabbitMQ with the queues of
the system. Relays are processes as operators start them.

    python benchmarks/relay.py [--quick] [--only drain|latency|writers|idle|two|pinned|million …] [--profile FILE]
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import relay_drain
import relay_latency
import relay_writers
from alta_stack.infra import Infra
from figures import Figure, note, show
from relay_drain import Size
from relay_rivals import c_client
from relay_stage import Stage, servers, stage_on

Options = argparse.Namespace


async def of_drain(stage: Stage, options: Options) -> AsyncIterator[Figure]:
    """Measure a backlog's way to the broker."""
    with tempfile.TemporaryDirectory(prefix="alta-bench-") as folder:
        client = c_client(Path(folder))
        async for figure in relay_drain.beside_others(stage, client, _size(options), options.profile):
            yield figure


async def of_latency(stage: Stage, options: Options) -> AsyncIterator[Figure]:
    """Measure the way of one event."""
    async for figure in relay_latency.commit_to_consumer(stage, options.rounds, 2.0 if options.quick else 4.0):
        yield figure


async def of_writers(stage: Stage, options: Options) -> AsyncIterator[Figure]:
    """Measure what events cost those who write them."""
    async for figure in relay_writers.overhead(stage, options.rounds, 0.5 if options.quick else 1.0):
        yield figure


async def of_idle(stage: Stage, options: Options) -> AsyncIterator[Figure]:
    """Measure what a relay costs that has nothing to do."""
    yield await relay_latency.idle(stage, 10.0 if options.quick else 30.0)


async def of_two(stage: Stage, options: Options) -> AsyncIterator[Figure]:
    """Measure two relays."""
    async for figure in relay_drain.two_relays(stage, _size(options)):
        yield figure


async def of_pinned(stage: Stage, options: Options) -> AsyncIterator[Figure]:
    """Measure a relay beside a transaction that does not end."""
    yield await relay_drain.under_pinned_xmin(stage, _size(options))


async def of_million(stage: Stage, options: Options) -> AsyncIterator[Figure]:
    """Measure a backlog that took a night to grow."""
    async for figure in relay_drain.of_a_million(stage, _size(options)):
        yield figure


GROUPS = {
    "drain": of_drain,
    "latency": of_latency,
    "writers": of_writers,
    "idle": of_idle,
    "two": of_two,
    "pinned": of_pinned,
    "million": of_million,
}
SLOW = {"million"}


def _size(options: Options) -> Size:
    return Size(options.rounds, options.events)


async def measure(infra: Infra, options: Options) -> None:
    """Measure the groups of figures that were asked for."""
    begun = time.monotonic()
    async with stage_on(infra) as stage:
        for group in options.only or (name for name in GROUPS if name not in SLOW):
            async for figure in GROUPS[group](stage, options):
                show([figure])
            note(f"({time.monotonic() - begun:.0f} s)")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure the outbox and its relay.")
    parser.add_argument("--quick", action="store_true", help="two rounds of everything, fewer events, shorter times")
    parser.add_argument("--only", choices=GROUPS, action="append", help="measure this group; may be repeated")
    parser.add_argument("--rounds", type=int, help="how often everything is measured; its median counts")
    parser.add_argument("--events", type=int, help="how many are drained in a round")
    parser.add_argument("--profile", type=Path, help="run the relay under cProfile and leave its statistics here")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.events = options.events or (20_000 if options.quick else 100_000)
    with servers() as infra:
        asyncio.run(measure(infra, options))


if __name__ == "__main__":
    main()
