"""Metrics of queues, as the process that operators talk to measures them."""

from prometheus_client import Counter, Gauge

queue_messages = Gauge(
    "alta_queue_messages",
    "Messages in a queue by state: ready; unacknowledged, where a management API is there to ask.",
    ("queue", "state"),
)
queue_consumers = Gauge("alta_queue_consumers", "Consumers of a queue.", ("queue",))
queue_head_age = Gauge(
    "alta_queue_head_age_seconds",
    "Age of a dead queue's oldest message since it died, 0 without one. There is none of work and retry queues.",
    ("queue",),
)
queue_measurements = Counter(
    "alta_queue_measurements_total", "Measurements of all queues, by outcome: ok, failed.", ("outcome",)
)
