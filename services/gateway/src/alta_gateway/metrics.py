"""What the gateway counts beside the HTTP metrics that all services share. No ids in labels."""

from prometheus_client import Counter, Gauge

refused = Counter("alta_gateway_refused_total", "Requests that the protocol refused before the pipeline.", ("code",))
limited = Counter("alta_gateway_limited_total", "Requests over a rate limit.", ("policy",))
limiter_fallbacks = Counter(
    "alta_gateway_limiter_fallbacks_total", "Requests limited without Redis, by why.", ("reason",)
)
upstream_failures = Counter(
    "alta_gateway_upstream_failures_total", "Requests that a service did not answer, by how.", ("upstream", "reason")
)
upstream_active = Gauge("alta_gateway_upstream_active", "Requests running at a service.", ("upstream",))
retries = Counter("alta_gateway_retries_total", "Requests sent again.", ("upstream",))
circuit_open = Gauge("alta_gateway_circuit_open", "1 while a service's circuit is not closed.", ("upstream",))
