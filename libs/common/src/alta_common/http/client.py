"""The HTTP client for calls that are not the hot path (httpx; the gateway's proxying has a client of its own)."""

import httpx

from alta_common.telemetry.context import correlation_id, current_traceparent


def create_client(
    base_url: str = "", *, connect_seconds: float = 2.0, read_seconds: float = 15.0, connections: int = 50
) -> httpx.AsyncClient:
    """Return a client that gives up in time, follows no redirects, and passes request id and trace on.

    It reads no proxy settings from the environment. Close it with `aclose()`.
    """
    return httpx.AsyncClient(
        base_url=base_url,
        timeout=httpx.Timeout(read_seconds, connect=connect_seconds),
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=15),
        event_hooks={"request": [_pass_context_on]},
        trust_env=False,
    )


async def _pass_context_on(request: httpx.Request) -> None:
    for name, value in (("X-Request-ID", correlation_id()), ("traceparent", current_traceparent())):
        if value is not None:
            request.headers.setdefault(name, value)
