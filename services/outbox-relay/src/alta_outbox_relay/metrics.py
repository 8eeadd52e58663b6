"""Metrics of the relay. Depth, age and parked are of the whole outbox, so every relay reports the same."""

from prometheus_client import Counter, Gauge, Histogram

oldest_pending = Gauge("alta_outbox_oldest_pending_seconds", "Age of the oldest event that should be out.", ("schema",))
depth = Gauge("alta_outbox_depth", "Events that are not confirmed yet, scheduled ones included.", ("schema",))
parked = Gauge("alta_outbox_parked", "Events that were given up and wait for a person.", ("schema",))
shards_owned = Gauge("alta_outbox_shards_owned", "Shards that this relay drains.", ("schema",))
published = Counter("alta_outbox_published_total", "Events that the broker confirmed.", ("schema",))
returns = Counter("alta_outbox_returns_total", "Publishes that came back because no queue took them.", ("schema",))
nacks = Counter("alta_outbox_nacks_total", "Publishes that the broker refused.", ("schema",))
parkings = Counter("alta_outbox_parkings_total", "Events that this relay has parked.", ("schema",))
blocked = Gauge("alta_outbox_blocked", "1 while the broker has stopped taking messages (an alarm).")
connected = Gauge("alta_outbox_connected", "1 while the broker is connected.")
confirm_seconds = Histogram(
    "alta_outbox_confirm_seconds",
    "Time from publish to confirm.",
    ("schema",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0),
)
