"""Which fault made how many copies, and whether it may have."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from faults_report import Happened


def too_many_copies(happened: Sequence[Happened], arrived: Sequence[UUID], batch: int, excused: int) -> list[str]:
    """Return what is wrong: more copies than a batch for each relay hit, judged for each step by itself.

    Steps are judged together when one struck before everything had gone out that the one before may have repeated.
    `excused` are the copies that other things than strikes may have made in all.
    """
    _count(happened, arrived)
    problems: list[str] = []
    for together, excused_after in _groups(happened, excused):
        copies = sum(one.duplicates for one in together)
        allowed = batch * sum(one.relays_hit for one in together) + excused_after - together[0].before.excused
        if copies > allowed:
            names = ", ".join(" + ".join(one.step) for one in together)
            problems.append(f"{copies} copies after {names}, {allowed} are allowed")
    return problems


def _groups(happened: Sequence[Happened], excused: int) -> Iterator[tuple[list[Happened], int]]:
    """Yield steps that are judged together, and the copies that were excused when the next ones began."""
    together: list[Happened] = []
    for one in happened:
        if together and one.before.alone:
            yield together, one.before.excused
            together = []
        together.append(one)
    if together:
        yield together, excused


def _count(happened: Sequence[Happened], arrived: Sequence[UUID]) -> None:
    """Lay each copy at the door of the last step before it."""
    for one in happened:
        one.duplicates = 0
    seen: set[UUID] = set()
    for position, event_id in enumerate(arrived):
        if event_id in seen and happened:
            step = next((one for one in reversed(happened) if one.before.arrived <= position), happened[0])
            step.duplicates += 1
        seen.add(event_id)
