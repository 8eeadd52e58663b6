import asyncio
import signal
import socket
import sys
from contextlib import asynccontextmanager

import httpx
import orjson
import psutil

from alta_common.testing import eventually
from alta_stack.processes import free_ports

MIB = 1024 * 1024


@asynccontextmanager
async def process(service, redis_url, **more):
    public, internal = free_ports(2)
    environment = {
        "HTTP_PORT": str(public),
        "INTERNAL_PORT": str(internal),
        "REDIS_URL": redis_url,
        "IDENTITY_URL": service.url,
        "PROJECTS_URL": service.url,
        "AUTH_JWKS_URL": f"{service.url}/.well-known/jwks.json",
        "DRAIN_SECONDS": "60",
        "REDIS_TIMEOUT_SECONDS": "30",
        **more,
    }
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "alta_gateway.main", env=environment, stdout=asyncio.subprocess.PIPE
    )
    reading = asyncio.create_task(started.stdout.read())
    http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{public}", trust_env=False, timeout=60, verify=False)

    async def is_ready():
        try:
            return (await http.get("/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    try:
        await eventually(is_ready)
        yield started, http, internal, reading
    finally:
        await http.aclose()
        if started.returncode is None:
            started.kill()
        await started.wait()


class Peak:
    """The largest resident memory of a process while it is watched."""

    def __init__(self, pid):
        self._process = psutil.Process(pid)
        self.idle = self.most = self._process.memory_info().rss

    async def watch(self):
        while True:
            self.most = max(self.most, self._process.memory_info().rss)
            await asyncio.sleep(0.01)


async def test_large_bodies_pass_through_without_being_held(service, redis_url, signed_in):
    async def pieces():
        for _ in range(300):
            yield b"x" * MIB

    async def download(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(300):
            await send({"type": "http.response.body", "body": b"y" * MIB, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    service.handlers["/v1/voice-samples/1/content"] = download
    async with process(service, redis_url) as (started, http, _, _):
        await http.get("/v1/projects", headers=signed_in)
        peak = Peak(started.pid)
        watching = asyncio.create_task(peak.watch())

        answer = await http.post("/v1/projects/1/voice-samples", headers=signed_in, content=pieces())
        received = 0
        async with http.stream("GET", "/v1/voice-samples/1/content", headers=signed_in) as stream:
            async for piece in stream.aiter_raw():
                received += len(piece)
                # A reader slower than the service: what piles up must pile up elsewhere.
                await asyncio.sleep(0)
        refused = await http.post(
            "/v1/projects/1/documents", headers=signed_in | {"content-length": str(300 * MIB)}, content=pieces()
        )
        watching.cancel()

    assert answer.json()["size"] == received == 300 * MIB
    assert refused.status_code == 413
    assert peak.most - peak.idle < 60 * MIB


async def test_a_stop_ends_event_streams_as_if_they_were_whole(service, redis_url, signed_in):
    async def events(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"data: one\n\n", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        service.gone += 1

    service.handlers["/v1/projects/1/events"] = events
    async with (
        process(service, redis_url, DRAIN_SECONDS="600") as (started, http, _, _),
        http.stream("GET", "/v1/projects/1/events", headers=signed_in) as stream,
    ):
        pieces = stream.aiter_text()
        assert await anext(pieces) == "data: one\n\n"

        started.send_signal(signal.SIGTERM)

        assert [piece async for piece in pieces] == []
        assert await started.wait() == 0
    await eventually(lambda: service.gone == 1)


async def test_a_stop_finishes_what_runs_and_exits_cleanly(service, redis_url, signed_in):
    began, release = asyncio.Event(), asyncio.Event()

    async def held(scope, receive, send):
        await service.note(scope, receive)
        began.set()
        await release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    service.handlers["/v1/documents/1"] = held
    async with process(service, redis_url) as (started, http, internal, reading):
        running = asyncio.create_task(http.get("/v1/documents/1?wait=30", headers=signed_in))
        await began.wait()
        started.send_signal(signal.SIGTERM)

        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=60) as outside:

            async def is_draining():
                ready = await outside.get(f"http://127.0.0.1:{internal}/health/ready")
                return ready.status_code == 503

            await eventually(is_draining)
        release.set()
        answer = await running
        code = await started.wait()
        lines = [orjson.loads(line) for line in (await reading).splitlines()]

    assert (answer.status_code, code) == (200, 0)
    line = next(line for line in lines if line.get("path") == "/v1/documents/1")
    assert (line["event"], line["status"], line["route"]) == ("http.request", 200, "/v1/documents/{id}")
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["trace_id"] in answer.headers["traceparent"]
    assert {"client", "duration_ms", "user_id", "service"} <= set(line)


async def test_what_runs_too_long_after_a_stop_is_told_so(service, redis_url, signed_in):
    async def endless(scope, receive, send):
        await service.note(scope, receive)
        while (await receive())["type"] != "http.disconnect":
            pass

    service.handlers["/v1/documents/1"] = endless
    async with process(service, redis_url, DRAIN_SECONDS="0.5") as (started, http, _, _):
        running = asyncio.create_task(http.get("/v1/documents/1?wait=30", headers=signed_in))

        async def has_begun():
            return any(seen.path == "/v1/documents/1" for seen in service.seen)

        await eventually(has_begun)
        started.send_signal(signal.SIGTERM)
        answer = await running
        code = await started.wait()

    assert (answer.status_code, answer.json()["code"]) == (503, "shutting_down")
    assert code == 0


async def test_metrics_are_counted_by_route_and_stay_inside(service, redis_url, signed_in):
    async with process(service, redis_url) as (_, http, internal, _):
        await http.get("/v1/documents/0199", headers=signed_in)
        await http.get("/nowhere")
        outside = await http.get("/metrics")
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=60) as client:
            metrics = (await client.get(f"http://127.0.0.1:{internal}/metrics")).text

    assert outside.status_code == 404
    assert 'http_route="/v1/documents/{id}"' in metrics
    assert 'http_route="unmatched"' in metrics
    assert "0199" not in metrics


async def test_settings_that_cannot_be_used_are_named():
    environment = {"LIMIT_USER": "many", "HTTP_PORT": "eighty", "TRUSTED_NETWORKS": "10.0.0.0/99"}
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "alta_gateway.main", env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, told = await started.communicate()

    assert started.returncode == 2
    for name in (b"LIMIT_USER", b"HTTP_PORT", b"TRUSTED_NETWORKS", b"REDIS_URL"):
        assert name in told


async def test_a_taken_port_is_named(service, redis_url):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = {"REDIS_URL": redis_url, "HTTP_PORT": str(taken.getsockname()[1]), "INTERNAL_PORT": "0"}
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "alta_gateway.main", env=environment, stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        _, told = await started.communicate()

    assert started.returncode == 1
    assert b"HTTP_PORT" in told
