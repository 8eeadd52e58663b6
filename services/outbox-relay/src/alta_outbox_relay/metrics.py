"""Metrics of the relay. Depth, age and parked are of the whole outbox, so every relay reports the same."""

from bisect import bisect_left
from collections.abc import Iterable
from math import isinf

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

oldest_pending = Gauge("alta_outbox_oldest_pending_seconds", "Age of the oldest event that should be out.", ("schema",))
depth = Gauge(
    "alta_outbox_depth",
    "Events that are not confirmed yet, scheduled ones included. Above 10,000 it is PostgreSQL's estimate.",
    ("schema",),
)
parked = Gauge("alta_outbox_parked", "Events that were given up and wait for a person.", ("schema",))
shards_owned = Gauge("alta_outbox_shards_owned", "Shards that this relay drains.", ("schema",))
published = Counter("alta_outbox_published_total", "Events that the broker confirmed.", ("schema",))
returns = Counter("alta_outbox_returns_total", "Publishes that came back because no queue took them.", ("schema",))
nacks = Counter("alta_outbox_nacks_total", "Publishes that the broker refused.", ("schema",))
parkings = Counter("alta_outbox_parkings_total", "Events that this relay has parked.", ("schema",))
blocked = Gauge("alta_outbox_blocked", "1 while the broker has stopped taking messages (an alarm).")
connected = Gauge("alta_outbox_connected", "1 while the broker is connected.")


class ConfirmSeconds(Collector):
    """A histogram that takes many equal observations at the cost of one; the client library's takes them singly."""

    _NAME, _HELP = "alta_outbox_confirm_seconds", "Time from publish to confirm."
    _BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, float("inf"))

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, schema: str, seconds: float, count: int) -> None:
        """Note that `count` events were confirmed after so many seconds."""
        counts = self._counts.setdefault(schema, [0] * len(self._BOUNDS))
        counts[bisect_left(self._BOUNDS, seconds)] += count
        self._sums[schema] = self._sums.get(schema, 0.0) + seconds * count

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Return the names that are taken by this."""
        return [HistogramMetricFamily(self._NAME, self._HELP, labels=("schema",))]

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Return the present state. Called in the thread that answers Prometheus."""
        family = HistogramMetricFamily(self._NAME, self._HELP, labels=("schema",))
        for schema, counts in list(self._counts.items()):
            total, buckets = 0, []
            for bound, count in zip(self._BOUNDS, counts, strict=True):
                total += count
                buckets.append((_bound_text(bound), float(total)))
            family.add_metric((schema,), buckets, self._sums.get(schema, 0.0))
        return [family]


def _bound_text(bound: float) -> str:
    return "+Inf" if isinf(bound) else str(bound)


confirm_seconds = ConfirmSeconds()
REGISTRY.register(confirm_seconds)
