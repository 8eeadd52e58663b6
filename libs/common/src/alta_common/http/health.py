"""The internal server of a process: `/health/live`, `/health/ready`, `/metrics`.

It runs in a thread of its own, so that it answers while the event loop is busy: a long job must not look like a dead
process. Liveness fails only when the loop has not turned for a while; readiness asks the given checks.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import orjson
import structlog
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from alta_common.telemetry.metrics import LoopLagMonitor

log = structlog.get_logger()

Check = Callable[[], Awaitable[None]]

_CHECK_SECONDS = 2.0


class InternalServer:
    """Serves health and metrics of one process. `checks` raise when what they look at cannot be used."""

    def __init__(
        self, host: str, port: int, checks: Mapping[str, Check] | None = None, *, live_seconds: float = 15.0
    ) -> None:
        self._address = (host, port)
        self._checks = dict(checks or {})
        self._live_seconds = live_seconds
        self._monitor = LoopLagMonitor()
        self._draining = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Return the port that it listens on, which matters when 0 was asked for."""
        return self._server.server_address[1] if self._server else self._address[1]

    def add_check(self, name: str, check: Check) -> None:
        """Look at one more thing before calling the process ready."""
        self._checks[name] = check

    def mark_draining(self) -> None:
        """Be unready from now on: the process is about to stop."""
        self._draining = True

    async def start(self) -> None:
        """Listen. Ends the process with a clear message when the port is taken."""
        self._loop = asyncio.get_running_loop()
        self._monitor.start()
        handler = type("InternalHandler", (_Handler,), {"internal": self})
        try:
            self._server = _Server(self._address, handler)
        except OSError as error:
            await self._monitor.stop()
            raise SystemExit(
                f"cannot listen on {self._address[0]}:{self._address[1]} (INTERNAL_PORT): {error}"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="internal", daemon=True)
        self._thread.start()
        log.info("internal.listening", host=self._address[0], port=self.port)

    async def stop(self) -> None:
        """Stop listening."""
        await self._monitor.stop()
        if self._server is not None:
            await asyncio.to_thread(self._server.shutdown)
            self._server.server_close()

    def live(self) -> tuple[int, dict[str, Any]]:
        """Say whether the event loop turns."""
        silent = self._monitor.seconds_since_tick()
        if silent <= self._live_seconds:
            return HTTPStatus.OK, {"status": "ok"}
        return HTTPStatus.SERVICE_UNAVAILABLE, {"status": "stalled", "seconds_since_tick": round(silent, 1)}

    def ready(self) -> tuple[int, dict[str, Any]]:
        """Say whether the process can take work, and what each check found. Called from the server's threads."""
        if self._draining:
            return HTTPStatus.SERVICE_UNAVAILABLE, {"status": "draining", "checks": {}}
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(self._run_checks(), self._loop)
        try:
            found = future.result(timeout=_CHECK_SECONDS + 1)
        except FutureTimeoutError:
            future.cancel()
            found = {"event_loop": "it did not answer in time"}
        fine = all(state == "ok" for state in found.values())
        status = HTTPStatus.OK if fine else HTTPStatus.SERVICE_UNAVAILABLE
        return status, {"status": "ok" if fine else "unready", "checks": found}

    async def _run_checks(self) -> dict[str, str]:
        states = await asyncio.gather(*(self._run_check(check) for check in self._checks.values()))
        return dict(zip(self._checks, states, strict=True))

    async def _run_check(self, check: Check) -> str:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await check()
        except TimeoutError:
            return f"no answer within {_CHECK_SECONDS:g} s"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            return f"{type(error).__name__}: {error}"
        return "ok"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Handler(BaseHTTPRequestHandler):
    internal: ClassVar[InternalServer]
    timeout = 10
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/health/live":
            self._json(*self.internal.live())
        elif path == "/health/ready":
            self._json(*self.internal.ready())
        elif path == "/metrics":
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._send(HTTPStatus.OK, encode(REGISTRY), content_type)
        else:
            detail = "Here are /health/live, /health/ready and /metrics."
            body = {"type": "/problems/not_found", "title": "Not found", "status": 404, "detail": detail}
            body |= {"instance": path, "code": "not_found", "request_id": None, "trace_id": None}
            self._send(HTTPStatus.NOT_FOUND, orjson.dumps(body), "application/problem+json")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _json(self, status: int, body: dict[str, Any]) -> None:
        self._send(status, orjson.dumps(body), "application/json")

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "alta"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing: probes ask every few seconds."""
