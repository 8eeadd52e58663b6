"""Metrics that more than one service has, and the monitor of the event loop. No ids in labels.

HTTP names follow OpenTelemetry's semantic conventions as Prometheus spells them.
"""

import asyncio
import time
from contextlib import suppress

from prometheus_client import Counter, Gauge, Histogram

from alta_common.telemetry.context import current_trace_id

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LONG_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0)

http_server_duration = Histogram(
    "http_server_request_duration_seconds",
    "Time from the request's head to the end of its answer.",
    ("http_request_method", "http_route", "http_response_status_code"),
    buckets=_SECONDS,
)
http_server_active = Gauge("http_server_active_requests", "Requests being answered.", ("http_request_method",))
event_loop_lag = Gauge("alta_event_loop_lag_seconds", "How late the event loop ran what was due.")

messages_handled = Counter(
    "alta_consumer_messages_total",
    "Messages taken from a queue, by what became of them: handled, handed_on, retried, dead_lettered, requeued; "
    "ignored, for a broadcast.",
    ("queue", "event_type", "outcome"),
)
attempts_failed = Counter(
    "alta_consumer_failures_total",
    "Attempts at a message that failed, by the error's code; what became of the message is counted beside it.",
    ("queue", "event_type", "code"),
)
message_duration = Histogram(
    "alta_consumer_duration_seconds",
    "Time that a handler took, whether it failed or not.",
    ("queue", "event_type"),
    buckets=_LONG_SECONDS,
)
queue_wait = Histogram(
    "alta_queue_wait_seconds",
    "Time that a message waited for its handler: since the event, or since it came back for another try or slice.",
    ("queue",),
    buckets=_LONG_SECONDS,
)
messages_running = Gauge("alta_consumer_running", "Messages being handled.", ("queue",))
events_published = Counter(
    "alta_publisher_events_total", "Events published directly, by outcome: confirmed, failed.", ("exchange", "outcome")
)
publish_duration = Histogram(
    "alta_publisher_confirm_seconds", "Time until the broker confirmed an event.", ("exchange",), buckets=_SECONDS
)
job_end_to_end = Histogram(
    "alta_job_end_to_end_seconds", "Time from upload to recorded result.", ("kind", "status"), buckets=_LONG_SECONDS
)
engine_seconds_per_unit = Histogram(
    "alta_engine_seconds_per_unit",
    "Engine time for a page, or for a second of audio.",
    ("engine",),
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
engine_fallbacks = Counter(
    "alta_engine_fallbacks_total", "Files that another engine read because theirs was away.", ("engine", "fallback")
)


def exemplar() -> dict[str, str] | None:
    """Return the present trace as an exemplar, so that a slow bucket leads to a trace."""
    trace_id = current_trace_id()
    return {"trace_id": trace_id} if trace_id else None


class LoopLagMonitor:
    """Notes when the event loop last turned, and how late it did. Read from any thread."""

    def __init__(self, interval_seconds: float = 0.5) -> None:
        self._interval = interval_seconds
        self._ticked = time.monotonic()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Watch the running loop."""
        self._ticked = time.monotonic()
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="loop-lag")

    async def stop(self) -> None:
        """Watch no longer."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def seconds_since_tick(self) -> float:
        """Return for how long the loop has not turned."""
        return time.monotonic() - self._ticked

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            now = time.monotonic()
            event_loop_lag.set(max(0.0, now - self._ticked - self._interval))
            self._ticked = now
