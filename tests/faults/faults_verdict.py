"""The judgement on a scenario: what was committed against what arrived."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

# Seconds: a statement that waits for a lock knows the time of its start, and may see what was committed since.
_SAME_MOMENT = 0.5


@dataclass(frozen=True, slots=True)
class Written:
    """An event that was committed: the `number`-th of its aggregate, from 1; one that was scheduled has no number."""

    event_id: UUID
    aggregate_id: UUID
    number: int | None
    due_at: float = 0.0
    """Seconds of the database's clock, from when on it may go out: when it was written, or as it was scheduled."""


@dataclass
class Verdict:
    """What was found; `problems` are what must not be."""

    events: int
    duplicates: int
    allowed_duplicates: int
    problems: list[str] = field(default_factory=list)


def judge(
    written: Sequence[Written],
    acknowledged: Iterable[UUID],
    arrived: Sequence[UUID],
    *,
    also_expected: Iterable[UUID] = (),
    allowed_duplicates: int,
) -> Verdict:
    """Judge messages in the order of their arrival.

    `acknowledged` are events whose commit was confirmed to the writer; `also_expected` are events outside the order.
    """
    known = {event.event_id: event for event in written}
    others, first_arrivals = set(also_expected), list(dict.fromkeys(arrived))
    verdict = Verdict(len(known) + len(others), len(arrived) - len(first_arrivals), allowed_duplicates)
    there, wanted = set(first_arrivals), known.keys() | others
    verdict.problems += [
        *_some("committed and forgotten by the database", set(acknowledged) - known.keys()),
        *_some("missing", wanted - there),
        *_some("unknown", there - wanted),
        *_some("not numbered without gaps in the outbox", _gaps(written)),
        *_some("before an earlier event of their aggregate", _inversions(known, first_arrivals)),
        *_some("after a later event, although their time had come", _overtaken(written, first_arrivals)),
    ]
    if verdict.duplicates > allowed_duplicates:
        verdict.problems.append(f"{verdict.duplicates} duplicates, {allowed_duplicates} are allowed")
    return verdict


def _inversions(known: dict[UUID, Written], first_arrivals: Sequence[UUID]) -> list[UUID]:
    highest: dict[UUID, int] = defaultdict(int)
    inverted: list[UUID] = []
    for event_id in first_arrivals:
        event = known.get(event_id)
        if event is None or event.number is None:
            continue
        if event.number < highest[event.aggregate_id]:
            inverted.append(event_id)
        highest[event.aggregate_id] = max(event.number, highest[event.aggregate_id])
    return inverted


def _overtaken(written: Sequence[Written], first_arrivals: Sequence[UUID]) -> list[UUID]:
    """Return scheduled events that were due, and came after one that was written and due later than they were."""
    place = {event_id: number for number, event_id in enumerate(first_arrivals)}
    by_aggregate: dict[UUID, list[Written]] = defaultdict(list)
    for event in written:
        if event.event_id in place:
            by_aggregate[event.aggregate_id].append(event)
    return [
        event.event_id
        for events in by_aggregate.values()
        for position, event in enumerate(events)
        if event.number is None
        and any(
            later.due_at > event.due_at + _SAME_MOMENT and place[later.event_id] < place[event.event_id]
            for later in events[position + 1 :]
        )
    ]


def _gaps(written: Sequence[Written]) -> list[UUID]:
    """Return aggregates whose events, by id, are not numbered 1, 2, 3…: then the writers of the test are wrong."""
    last: dict[UUID, int] = defaultdict(int)
    wrong: dict[UUID, None] = {}
    for event in written:
        if event.number is None:
            continue
        if event.number != last[event.aggregate_id] + 1:
            wrong[event.aggregate_id] = None
        last[event.aggregate_id] = event.number
    return list(wrong)


def _some(what: str, ids: Iterable[UUID]) -> list[str]:
    found = sorted(map(str, ids))
    return [f"{len(found)} {what}: {', '.join(found[:5])}{' …' if len(found) > 5 else ''}"] if found else []
