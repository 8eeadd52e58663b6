"""Writing down what became of events: many at a time, a little after it happened."""

import math
import time
from collections.abc import Callable, Iterable

import structlog

from alta_outbox_relay import metrics
from alta_outbox_relay.event import Failure, PendingEvent
from alta_outbox_relay.lanes import Lanes
from alta_outbox_relay.policy import RelayPolicy
from alta_outbox_relay.session import OutboxSession

log = structlog.get_logger()

# Each deletion is a statement and a commit: at 200 events a second it is one for five of them.
_WAIT_SECONDS = 0.025


class Striker:
    """What has been confirmed, refused or found faulty, until it is written down."""

    def __init__(
        self, session: OutboxSession, lanes: Lanes, policy: RelayPolicy, release: Callable[[PendingEvent], None]
    ) -> None:
        """`release` hears of each event that has held others back, once it does so no more."""
        self._session = session
        self._lanes = lanes
        self._policy = policy
        self._release = release
        self._enough = max(1, policy.batch_size // 4)
        self._confirmed: list[PendingEvent] = []
        self._refused: list[Failure] = []
        self._faulty: list[Failure] = []
        self._due_at = math.inf
        self.unsafe = 0
        """Struck out, but a crash of the server would undo it."""

    @property
    def due_at(self) -> float:
        """Return when to `strike` (`time.monotonic`); infinity is never."""
        return self._due_at

    def confirmed(self, events: list[PendingEvent]) -> None:
        """Take down events to be struck out: when they are enough, or a little later."""
        self._confirmed += events
        if len(self._confirmed) >= self._enough:
            self._due_at = 0.0
        elif self._due_at == math.inf:
            self._due_at = time.monotonic() + _WAIT_SECONDS

    def refused(self, failure: Failure) -> None:
        """Take down an event to be tried again, or parked when it has been often enough."""
        self._refused.append(failure)
        self._due_at = 0.0

    def faulty(self, failure: Failure) -> None:
        """Take down an event to be parked."""
        self._faulty.append(failure)
        self._due_at = 0.0

    async def strike(self) -> float | None:
        """Write it all down; return in how many seconds the first of what was refused is to be tried again, if any."""
        confirmed, self._confirmed = self._confirmed, []
        refused, self._refused = self._refused, []
        faulty, self._faulty = self._faulty, []
        self._due_at = math.inf
        if confirmed:
            durable = self.unsafe + len(confirmed) >= self._enough
            await self._session.delete(confirmed, durable=durable)
            self.unsafe = 0 if durable else self.unsafe + len(confirmed)
            self._lanes.struck_out(confirmed)
            self._release_behind(event for event in confirmed if event.attempts)
        if faulty:
            await self._park(faulty)
            self._lanes.settle([failure.event for failure in faulty], refused=False)
            self._release_behind(failure.event for failure in faulty if failure.event.attempts)
        return await self._settle(refused) if refused else None

    async def _settle(self, refused: list[Failure]) -> float | None:
        hopeless = [one for one in refused if one.event.attempts + 1 > self._policy.max_retries]
        if hopeless:
            await self._park(hopeless)
        again = [one for one in refused if one.event.attempts + 1 <= self._policy.max_retries]
        seconds = [self._policy.retry_in(failure.event.attempts + 1) for failure in again]
        if again:
            await self._session.postpone(again, seconds)
            for failure, wait in zip(again, seconds, strict=True):
                _log_postponed(failure, wait)
        earlier = self._lanes.settle([failure.event for failure in refused], refused=True)
        self._release_behind([*(failure.event for failure in hopeless), *earlier])
        return min(seconds, default=None)

    def _release_behind(self, events: Iterable[PendingEvent]) -> None:
        for event in events:
            self._release(event)

    async def _park(self, failures: list[Failure]) -> None:
        await self._session.park(failures)
        metrics.parkings.labels(self._session.schema).inc(len(failures))
        for failure in failures:
            event = failure.event
            log.error(
                "outbox.parked",
                event_id=event.event_id,
                event_type=event.event_type,
                attempts=event.attempts + 1,
                reason=failure.reason,
            )


def _log_postponed(failure: Failure, seconds: float) -> None:
    event = failure.event
    log.warning(
        "outbox.postponed",
        event_id=event.event_id,
        event_type=event.event_type,
        attempts=event.attempts + 1,
        seconds=round(seconds, 3),
        reason=failure.reason,
    )
