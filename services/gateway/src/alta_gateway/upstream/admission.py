"""How many requests run at one service. When it fills up, uploads are turned away first and sign-ins last."""

from collections.abc import Iterator
from contextlib import contextmanager

from alta_common.errors import UnavailableError
from alta_gateway.metrics import circuit_open, upstream_active
from alta_gateway.routing import Kind
from alta_gateway.settings import UpstreamSettings
from alta_gateway.upstream.breaker import CircuitBreaker

# Early, not slow: the share of the places that each kind may fill.
_SHARE_OF = {Kind.AUTH: 1.0, Kind.READ: 0.95, Kind.SEARCH: 0.95, Kind.WRITE: 0.85, Kind.UPLOAD: 0.7}


class OverloadedError(UnavailableError):
    """A service has as much to do as it can."""

    code = "overloaded"


class CircuitOpenError(UnavailableError):
    """A service failed so often that it is left alone for a moment."""

    code = "circuit_open"


class Trip:
    """One request's stay at a service, and how it ended; unless said otherwise, that tells nothing of the service."""

    is_good: bool | None = None


class Admission:
    """Lets requests through to one service."""

    def __init__(self, name: str, settings: UpstreamSettings) -> None:
        self.name = name
        self.breaker = CircuitBreaker(settings)
        self._places = settings.upstream_concurrency
        self._waiting_places = settings.upstream_waiting
        self._active = 0
        self._waiting = 0
        self._gauge = upstream_active.labels(name)
        self._circuit = circuit_open.labels(name)

    @contextmanager
    def trip(self, kind: Kind, *, is_waiting: bool) -> Iterator[Trip]:
        """Hold a place at the service inside the block. Raises `OverloadedError` or `CircuitOpenError`."""
        self._check_room(kind, is_waiting=is_waiting)
        if not self.breaker.admit():
            raise CircuitOpenError(f"{self.name} is not well; please try again.", self.breaker.retry_after_seconds())
        trip = Trip()
        self._move(1, is_waiting=is_waiting)
        try:
            yield trip
        finally:
            self._move(-1, is_waiting=is_waiting)
            self._note(trip)

    def _check_room(self, kind: Kind, *, is_waiting: bool) -> None:
        # Who waits for news holds a connection but does no work: counted apart, or pollers would stop everybody.
        is_full = (
            self._waiting >= self._waiting_places if is_waiting else self._active >= self._places * _SHARE_OF[kind]
        )
        if is_full:
            raise OverloadedError(f"{self.name} has too much to do; please try again.", 1)

    def _move(self, step: int, *, is_waiting: bool) -> None:
        if is_waiting:
            self._waiting += step
        else:
            self._active += step
        self._gauge.inc(step)

    def _note(self, trip: Trip) -> None:
        if trip.is_good is None:
            self.breaker.abandoned()
        elif trip.is_good:
            self.breaker.succeeded()
        else:
            self.breaker.failed()
        self._circuit.set(not self.breaker.is_closed)


class RetryBudget:
    """Lets a share of the traffic be sent again: retries must not double the load of a service that is down."""

    _MOST = 10.0

    def __init__(self, share: float) -> None:
        self._share = share
        self._left = self._MOST if share else 0.0

    def earn(self) -> None:
        """Note a request."""
        self._left = min(self._MOST, self._left + self._share)

    def spend(self) -> bool:
        """Say whether one may be sent again."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
