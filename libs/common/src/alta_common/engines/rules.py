"""How long the work on a request may take, in all and at a time."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from alta_common.clock import utc_now
from alta_common.engines.port import EngineError
from alta_common.engines.requests import EngineRequest

Limit = Literal["slice", "deadline"]

DELIVERY_GRACE = timedelta(minutes=3)
"""For storing and publishing, between a slice's end and that of its delivery, which is taken for a fault.

With the longest slice, 25 minutes, a message is held for less than the 30 minutes that the broker allows.
"""


@dataclass(frozen=True)
class WorkRules:
    """Who works on what names nobody, who stands in for an engine that is away, and how long work may take.

    `slice_seconds` is for one delivery, because the broker takes a message back that is held for 30 minutes;
    `job_seconds` is for all slices together, without the time in which somebody else's operation is waited for.
    """

    default_engine: str
    job_seconds: float
    slice_seconds: float = 1200.0
    fallback_engine: str = ""
    progress_every_seconds: float = 1.0


@dataclass(frozen=True)
class Budget:
    """How long one delivery may take, which limit that is, and for how long it may work in that time."""

    seconds: float
    limit: Limit
    work_seconds: float

    @classmethod
    def of(cls, request: EngineRequest, rules: WorkRules, spent_seconds: float) -> "Budget":
        """Return what is left for `request` after `spent_seconds` of work. Raises `EngineError` when nothing is."""
        left: dict[Limit, float] = {"slice": rules.slice_seconds}
        if request.deadline_at is not None:
            left["deadline"] = (request.deadline_at - utc_now()).total_seconds()
        limit = min(left, key=lambda name: left[name])
        budget = cls(left[limit], limit, rules.job_seconds - spent_seconds)
        if budget.seconds <= 0:
            raise too_late()
        if budget.work_seconds <= 0:
            raise too_much_work(rules)
        return budget


def too_late() -> EngineError:
    """Return what the owner is told once the deadline is passed."""
    return EngineError("timeout", "It could not be done before its deadline.", retryable=True)


def too_much_work(rules: WorkRules) -> EngineError:
    """Return what the owner is told once the work has taken as long as it may: it would take as long again."""
    return EngineError("timeout", f"It takes longer than the {rules.job_seconds / 60:g} minutes allowed.")
