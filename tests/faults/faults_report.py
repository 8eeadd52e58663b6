"""What happened, as a table."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from faults_plan import Step


@dataclass(frozen=True)
class Before:
    """What there was when a step was about to strike."""

    arrived: int = 0
    """Messages, copies included."""
    pending: int = 0
    """Events that waited."""
    excused: int = 0
    """Copies that other things than strikes may have made until then."""
    alone: bool = True
    """Whether everything had gone out that the steps before may have repeated."""


@dataclass
class Happened:
    """A step that was taken."""

    step: Step
    at: float
    """Seconds after the start."""
    seconds: float
    written: int
    """Events that had been written when it struck."""
    before: Before = field(default_factory=Before)
    relays_hit: int = 0
    duplicates: int = 0
    """Those that arrived after it and before the next step."""


def tell(happened: Happened) -> None:
    """Print a step that was just taken."""
    names = " + ".join(happened.step)
    print(f"{happened.at:7.1f} s  {names:<40} {happened.seconds:5.1f} s  after {happened.written} events", flush=True)


def print_table(all_happened: Sequence[Happened], notes: Mapping[str, Sequence[str]]) -> None:
    """Print all steps by kind."""
    taken: dict[str, list[Happened]] = defaultdict(list)
    for happened in all_happened:
        taken[" + ".join(happened.step)].append(happened)
    print(f"\n{'struck':<40} {'times':>5} {'longest s':>10} {'copies, most':>13}")
    for step, steps in sorted(taken.items()):
        longest, copies = max(one.seconds for one in steps), max(one.duplicates for one in steps)
        print(f"{step:<40} {len(steps):>5} {longest:>10.1f} {copies:>13}")
    for kind, all_said in sorted(notes.items()):
        print(f"{kind}: " + ", ".join(f"{all_said.count(said)} x {said}" for said in dict.fromkeys(all_said)))
