"""Metrics of calls to Google. No ids in labels."""

from prometheus_client import Counter, Histogram

_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)

requests = Counter(
    "alta_google_requests_total",
    "Attempts to call an API of Google, by outcome: ok, or the name of gRPC's status.",
    ("api", "outcome"),
)
request_duration = Histogram(
    "alta_google_request_seconds", "Time that an attempt took, refused ones included.", ("api",), buckets=_SECONDS
)
limiter_wait = Histogram(
    "alta_google_limiter_wait_seconds",
    "Time that a request waited for its turn (GOOGLE_REQUESTS_PER_MINUTE, GOOGLE_CONCURRENCY).",
    ("api",),
    buckets=_SECONDS,
)
