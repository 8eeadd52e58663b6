"""Writing down what became of events: many at a time, a little after it happened."""

import math
import time

import structlog

from alta_outbox_relay import metrics
from alta_outbox_relay.event import Failure, PendingEvent
from alta_outbox_relay.lanes import Lanes
from alta_outbox_relay.policy import RelayPolicy
from alta_outbox_relay.session import OutboxSession

log = structlog.get_logger()

_WAIT_SECONDS = 0.01


class Striker:
    """What has been confirmed, refused or found faulty, until it is written down."""

    def __init__(self, session: OutboxSession, lanes: Lanes, policy: RelayPolicy) -> None:
        self._session = session
        self._lanes = lanes
        self._policy = policy
        self._enough = max(1, policy.batch_size // 4)
        self._confirmed: list[PendingEvent] = []
        self._refused: list[Failure] = []
        self._faulty: list[Failure] = []
        self._due_at = math.inf
        self.unsafe = 0
        """Struck out, but a crash of the server would undo it."""

    @property
    def has_failures(self) -> bool:
        """Say whether failures wait to be written down."""
        return bool(self._refused or self._faulty)

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
        """Write it all down; return in how many seconds what was held back by failed events may go on, if any."""
        confirmed, self._confirmed = self._confirmed, []
        refused, self._refused = self._refused, []
        faulty, self._faulty = self._faulty, []
        self._due_at = math.inf
        waits: list[float] = []
        if confirmed:
            durable = self.unsafe + len(confirmed) >= self._enough
            await self._session.delete(confirmed, durable=durable)
            self.unsafe = 0 if durable else self.unsafe + len(confirmed)
            self._lanes.struck_out(confirmed)
            if any(event.attempts for event in confirmed):
                waits.append(0.0)
        if faulty:
            await self._park(faulty)
            self._lanes.settle([failure.event for failure in faulty], refused=False)
            waits.append(0.0)
        if refused:
            waits.append(await self._settle(refused))
        return min(waits, default=None)

    async def _settle(self, refused: list[Failure]) -> float:
        waits = []
        hopeless = [one for one in refused if one.event.attempts + 1 > self._policy.max_retries]
        if hopeless:
            await self._park(hopeless)
            waits.append(0.0)
        again = [one for one in refused if one.event.attempts + 1 <= self._policy.max_retries]
        if again:
            seconds = [self._policy.retry_in(failure.event.attempts + 1) for failure in again]
            await self._session.postpone(again, seconds)
            for failure, wait in zip(again, seconds, strict=True):
                _log_postponed(failure, wait)
            waits.append(min(seconds))
        self._lanes.settle([failure.event for failure in refused], refused=True)
        return min(waits)

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
