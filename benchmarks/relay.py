"""How fast and how cheaply events get from a transaction to the broker, beside a C client and the usual simple relay.

Prints one JSON line a figure: {"benchmark", "value", "unit", "reference", "ratio"}; what else there is to say goes to
stderr. Everything runs on servers of its own: PostgreSQL with its defaults (so with fsync), RabbitMQ with the queues of
the system; relays are processes as operators start them.

    python benchmarks/relay.py [--quick] [--only drain …] [--events 100000] [--profile FILE]
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import relay_drain
from alta_stack.infra import Infra
from figures import Figure, note, show
from relay_rivals import c_client
from relay_stage import Stage, servers, stage_on

GROUPS = ("drain",)


async def of_drain(stage: Stage, options: argparse.Namespace) -> AsyncIterator[Figure]:
    """Measure a backlog's way to the broker."""
    rounds = 2 if options.quick else 5
    with tempfile.TemporaryDirectory(prefix="alta-bench-") as folder:
        client = c_client(Path(folder))
        async for figure in relay_drain.beside_others(stage, client, options.events, rounds, options.profile):
            yield figure


async def measure(infra: Infra, options: argparse.Namespace) -> None:
    """Measure the groups of figures that were asked for."""
    begun = time.monotonic()
    table = {"drain": of_drain}
    async with stage_on(infra) as stage:
        for group in options.only or GROUPS:
            async for figure in table[group](stage, options):
                show([figure])
            note(f"({time.monotonic() - begun:.0f} s)")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure the outbox and its relay.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and events")
    parser.add_argument("--only", choices=GROUPS, action="append", help="measure this group; may be repeated")
    parser.add_argument("--events", type=int, default=100_000, help="how many are drained")
    parser.add_argument("--profile", type=Path, help="run the relay under cProfile and leave its statistics here")
    options = parser.parse_args()
    with servers() as infra:
        asyncio.run(measure(infra, options))


if __name__ == "__main__":
    main()
