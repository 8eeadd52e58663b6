"""How fast and how cheaply events get from a transaction to the broker, beside a C client and the usual simple relay.

Prints one JSON line a figure: {"benchmark", "value", "unit", "reference", "ratio"}; what else there is to say goes to
stderr. Everything runs on servers of its own: PostgreSQL with its defaults (so with fsync), RabbitMQ with the queues of
the system. Relays are processes as operators start them.

    python benchmarks/relay.py [--quick | --full] [--only drain|latency|writers|idle|two|pinned|million …]
                               [--rounds N] [--events N] [--profile FILE]
"""

import argparse
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import relay_drain
import relay_latency
import relay_writers
from alta_common.process import run
from alta_stack.infra import Infra
from figures import Figure, note, show
from relay_rivals import c_client
from relay_stage import Stage, servers, stage_on


@dataclass(frozen=True)
class Form:
    """How much is measured. Everything is measured `rounds` times, by turns, and the median counts."""

    rounds: int
    events: int
    """That are drained in a round."""
    latency_seconds: float
    writing_seconds: float
    idle_seconds: float
    profile: Path | None = None
    """Where the relay's profile goes."""


QUICK = Form(2, 10_000, 1.0, 0.3, 5.0)
USUAL = Form(5, 20_000, 1.2, 0.3, 6.0)
FULL = Form(5, 100_000, 5.0, 1.0, 30.0)


async def of_drain(stage: Stage, form: Form) -> AsyncIterator[Figure]:
    """Measure a backlog's way to the broker."""
    with tempfile.TemporaryDirectory(prefix="alta-bench-") as folder:
        client = c_client(Path(folder))
        async for figure in relay_drain.beside_others(stage, client, form.rounds, form.events, form.profile):
            yield figure


async def of_latency(stage: Stage, form: Form) -> AsyncIterator[Figure]:
    """Measure the way of one event."""
    async for figure in relay_latency.commit_to_consumer(stage, form.rounds, form.latency_seconds):
        yield figure


async def of_writers(stage: Stage, form: Form) -> AsyncIterator[Figure]:
    """Measure what events cost those who write them."""
    async for figure in relay_writers.overhead(stage, form.rounds, form.writing_seconds):
        yield figure


async def of_idle(stage: Stage, form: Form) -> AsyncIterator[Figure]:
    """Measure what a relay costs that has nothing to do."""
    yield await relay_latency.idle(stage, form.idle_seconds)


async def of_two(stage: Stage, form: Form) -> AsyncIterator[Figure]:
    """Measure two relays."""
    async for figure in relay_drain.two_relays(stage, form.rounds, form.events):
        yield figure


async def of_pinned(stage: Stage, form: Form) -> AsyncIterator[Figure]:
    """Measure a relay beside a transaction that does not end."""
    yield await relay_drain.under_pinned_xmin(stage, form.rounds, form.events)


async def of_million(stage: Stage, form: Form) -> AsyncIterator[Figure]:
    """Measure a backlog that took a night to grow."""
    async for figure in relay_drain.of_a_million(stage, form.rounds, form.events):
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
USUAL_GROUPS = ("drain", "latency", "writers", "idle")
FULL_GROUPS = (*USUAL_GROUPS, "two", "pinned")


async def measure(infra: Infra, form: Form, groups: Iterable[str]) -> None:
    """Measure the groups of figures that were asked for."""
    begun = time.monotonic()
    async with stage_on(infra) as stage:
        for group in groups:
            async for figure in GROUPS[group](stage, form):
                show([figure])
            note(f"({time.monotonic() - begun:.0f} s)")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure the outbox and its relay.")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--quick", action="store_true", help="two rounds, few events, short times")
    forms.add_argument("--full", action="store_true", help="as much as it takes to be sure, and all but `million`")
    parser.add_argument("--only", choices=GROUPS, action="append", help="measure this group; may be repeated")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--events", type=int, help="how many are drained in a round")
    parser.add_argument("--profile", type=Path, help="run the draining relay under cProfile, leave its statistics here")
    options = parser.parse_args()
    form = FULL if options.full else QUICK if options.quick else USUAL
    form = replace(
        form,
        rounds=options.rounds or form.rounds,
        events=options.events or form.events,
        profile=options.profile,
    )
    groups = options.only or (FULL_GROUPS if options.full else USUAL_GROUPS)
    with servers() as infra:
        run(measure(infra, form, groups))


if __name__ == "__main__":
    main()
