"""Limits without Redis: the same algorithm in memory, for this process alone."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from alta_gateway.limits.policies import Charge
from alta_gateway.limits.verdict import Standing, Verdict

_KEYS = 100_000


class LocalLimiter:
    """Counts in memory while Redis is away; of each limit it gives out one part in `workers`."""

    def __init__(self, workers: int, now: Callable[[], float] = time.monotonic) -> None:
        self._workers = workers
        self._now = now
        self._arrivals: OrderedDict[str, int] = OrderedDict()

    def take(self, charges: Sequence[Charge]) -> Verdict:
        """Count a request, if it fits all its limits."""
        now = int(self._now() * 1_000_000)
        after = [self._arrival(charge, now) + self._interval(charge) * charge.cost for charge in charges]
        standings = [self._standing(charge, moment, now) for charge, moment in zip(charges, after, strict=True)]
        verdict = Verdict(is_revoked=False, standings=standings)
        if verdict.refused_by is None:
            for charge, moment in zip(charges, after, strict=True):
                self._arrivals[charge.key] = moment
                self._arrivals.move_to_end(charge.key)
            self._forget(now)
        return verdict

    def _arrival(self, charge: Charge, now: int) -> int:
        return max(self._arrivals.get(charge.key, now), now)

    def _interval(self, charge: Charge) -> int:
        return charge.policy.interval_micros * self._workers

    def _standing(self, charge: Charge, after: int, now: int) -> Standing:
        interval = self._interval(charge)
        # A burst is shared too, but a request that would fit alone must not be refused for ever.
        tolerance = interval * max(charge.cost, charge.policy.rate.burst // self._workers)
        early = max(0, after - tolerance - now)
        used = after - now - (interval * charge.cost if early else 0)
        return Standing(charge.policy, max(0, (tolerance - used) // interval), used, early)

    def _forget(self, now: int) -> None:
        while self._arrivals:
            key, moment = next(iter(self._arrivals.items()))
            if moment > now and len(self._arrivals) <= _KEYS:
                return
            del self._arrivals[key]
