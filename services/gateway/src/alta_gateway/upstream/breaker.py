"""A circuit breaker: a service that mostly fails is left alone for a moment, then let back in step by step."""

import time
from collections.abc import Callable

from alta_gateway.settings import UpstreamSettings

_TRIALS_TO_CLOSE = 8


class CircuitBreaker:
    """Closed: everything passes and is counted. Open: nothing passes. Half open: few pass, more with every success."""

    def __init__(self, settings: UpstreamSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._now = now
        # Requests and errors of each second of the window, by the second that they belong to.
        self._counts: dict[int, list[int]] = {}
        self._opened_at: float | None = None
        self._trials = 0
        self._succeeded = 0

    @property
    def is_closed(self) -> bool:
        """Say whether everything passes."""
        return self._opened_at is None

    def admit(self) -> bool:
        """Say whether a request may pass; one that may must be followed by `succeeded`, `failed` or `abandoned`."""
        if self._opened_at is None:
            return True
        if self._now() - self._opened_at < self._settings.breaker_open_seconds:
            return False
        # Half open: one trial at first, then as many at once as have succeeded, and one more.
        if self._trials > self._succeeded:
            return False
        self._trials += 1
        return True

    def retry_after_seconds(self) -> int:
        """Return when a caller may try again."""
        if self._opened_at is None:
            return 1
        return max(1, round(self._opened_at + self._settings.breaker_open_seconds - self._now()))

    def succeeded(self) -> None:
        """Note an answer."""
        if self._opened_at is None:
            self._count(error=False)
            return
        self._trials -= 1
        self._succeeded += 1
        if self._succeeded >= _TRIALS_TO_CLOSE:
            self._opened_at = None
            self._counts.clear()

    def failed(self) -> None:
        """Note that there was no answer, or a broken one."""
        if self._opened_at is not None:
            self._open()
            return
        requests, errors = self._count(error=True)
        if requests >= self._settings.breaker_requests and errors >= requests * self._settings.breaker_error_share:
            self._open()

    def abandoned(self) -> None:
        """Note that the request ended for a reason that says nothing of the service."""
        if self._opened_at is not None:
            self._trials = max(0, self._trials - 1)

    def _open(self) -> None:
        self._opened_at = self._now()
        self._trials = self._succeeded = 0

    def _count(self, *, error: bool) -> tuple[int, int]:
        second = int(self._now())
        if second not in self._counts:
            oldest = second - self._settings.breaker_window_seconds
            self._counts = {when: count for when, count in self._counts.items() if when > oldest}
            self._counts[second] = [0, 0]
        self._counts[second][0] += 1
        self._counts[second][1] += error
        requests, errors = zip(*self._counts.values(), strict=True)
        return sum(requests), sum(errors)
