"""What every benchmark prints, and how it measures."""

import asyncio
import contextlib
import json
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Figure:
    """A measured value beside its reference, which was measured in the same run; None where it could not be."""

    benchmark: str
    value: float
    unit: str
    reference: float | None

    def line(self) -> str:
        """Return the figure as one JSON line."""
        reference, ratio = self.reference, None
        if reference is not None:
            ratio = round(self.value / reference, 3) if reference else None
            reference = round(reference, 4)
        values = {"value": round(self.value, 4), "unit": self.unit, "reference": reference, "ratio": ratio}
        return json.dumps({"benchmark": self.benchmark, **values})


def show(figures: Iterable[Figure]) -> None:
    """Print figures as soon as they are known."""
    for figure in figures:
        print(figure.line(), flush=True)


def note(text: str) -> None:
    """Say something that is no figure."""
    print(text, file=sys.stderr, flush=True)


async def timed(work: Awaitable[object]) -> float:
    """Return how many seconds `work` took."""
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def at_once(count: int, limit: int, work: Callable[[int], Awaitable[object]]) -> float:
    """Return the seconds that `count` pieces of work took, `limit` at a time."""
    places = asyncio.Semaphore(limit)

    async def one(number: int) -> None:
        async with places:
            await work(number)

    return await timed(asyncio.gather(*(one(number) for number in range(count))))


@dataclass(frozen=True)
class Cost:
    """What a piece of work took."""

    seconds: float
    cpu_seconds: float


async def cost_of(work: Awaitable[object], cpu_seconds: Callable[[], float]) -> Cost:
    """Do `work` and return what it took; `cpu_seconds` tells the CPU time so far of those who do it."""
    spent = cpu_seconds()
    seconds = await timed(work)
    return Cost(seconds, cpu_seconds() - spent)


async def in_turn(rounds: int, *works: Callable[[], Awaitable[Cost]]) -> list[Cost]:
    """Return the median cost of each of `works`, which are done one after the other in every round.

    What else the machine does meanwhile then hurts all of them alike.
    """
    costs = [[await work() for work in works] for _ in range(rounds)]
    return [median_of(column) for column in zip(*costs, strict=True)]


def median_of(costs: Sequence[Cost]) -> Cost:
    """Return the median of each part."""
    return Cost(
        statistics.median(cost.seconds for cost in costs), statistics.median(cost.cpu_seconds for cost in costs)
    )


def own_cpu_seconds() -> float:
    """Return the CPU time of this process so far, all its threads together."""
    return time.process_time()


def ended_cpu_seconds() -> float:
    """Return the CPU time of the programs that this process has run to their end."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def cpu_seconds_of(pids: Iterable[int]) -> float:
    """Return the CPU time of running processes."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(spent.user + spent.system for spent in times)


def cpu_seconds_of_family(pid: int) -> float:
    """Return the CPU time of a process and all that it has started, ended or not."""
    parent = psutil.Process(pid)
    total = 0.0
    for process in (parent, *parent.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            spent = process.cpu_times()
            total += spent.user + spent.system + spent.children_user + spent.children_system
    return total


def peak_megabytes_of(pid: int) -> float:
    """Return the most memory that a running process ever had resident."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1_000_000
