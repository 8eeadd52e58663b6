"""What is counted of the messages of one queue. A metric's labels are looked up once, not at each message."""

from prometheus_client import Counter, Histogram

from alta_common.contracts.registry import EVENTS
from alta_common.telemetry import metrics

UNKNOWN = "unknown"
_TYPES = frozenset(event.TYPE for event in EVENTS)


class Account:
    """The metrics of one queue. What is no type of event of ours is counted as unknown: labels must not be endless."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self.running = metrics.messages_running.labels(queue)
        self._wait = metrics.queue_wait.labels(queue)
        self._outcomes: dict[tuple[str, str], Counter] = {}
        self._durations: dict[str, Histogram] = {}

    def ended(self, event_type: str, outcome: str) -> None:
        """Count a message by what became of it."""
        event_type = _label(event_type)
        counter = self._outcomes.get((event_type, outcome))
        if counter is None:
            counter = metrics.messages_handled.labels(self._queue, event_type, outcome)
            self._outcomes[event_type, outcome] = counter
        counter.inc()

    def failed(self, event_type: str, code: str) -> None:
        """Count an attempt that failed."""
        metrics.attempts_failed.labels(self._queue, _label(event_type), code).inc()

    def waited(self, seconds: float, exemplar: dict[str, str] | None) -> None:
        """Note how long a message waited to be handled."""
        self._wait.observe(max(0.0, seconds), exemplar)

    def took(self, event_type: str, seconds: float, exemplar: dict[str, str] | None) -> None:
        """Note how long an attempt took, whatever its end."""
        event_type = _label(event_type)
        histogram = self._durations.get(event_type)
        if histogram is None:
            histogram = self._durations[event_type] = metrics.message_duration.labels(self._queue, event_type)
        histogram.observe(seconds, exemplar)


def _label(event_type: str) -> str:
    return event_type if event_type in _TYPES else UNKNOWN
