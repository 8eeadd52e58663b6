"""Serving an ASGI application with uvicorn, as a process that stops cleanly."""

import math
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from starlette.types import ASGIApp

from alta_common.process import on_stop_signals

log = structlog.get_logger()

# Longer than the gateway keeps its own side (15 s): the side that sends requests must be the one that closes.
_KEEP_ALIVE_SECONDS = 75


async def serve(
    app: ASGIApp, host: str, port: int, *, drain_seconds: float, on_drain: Callable[[], None] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs within `drain_seconds` and return.

    `on_drain` is called first when the signal comes (`InternalServer.mark_draining`). Ends the process with a clear
    message when the port is taken. Run the whole process with `alta_common.process.run`, which brings uvloop.
    """
    listening = _listen(host, port)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # The gateway's X-Forwarded-For is read by RequestContextMiddleware; uvicorn's reading would hide the peer.
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(drain_seconds),
    )
    server = _Server(config, on_drain)
    log.info("http.listening", host=host, port=listening.getsockname()[1])
    await server.serve(sockets=[listening])
    if not server.started:
        raise SystemExit(1)
    log.info("http.stopped")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        # From here on connections wait in the queue: whoever is told the port can use it.
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise SystemExit(f"cannot listen on {host}:{port} (HTTP_PORT): {error.strerror}") from error
    return listening


class _Server(uvicorn.Server):
    """uvicorn's server, ending in a return: its own way is to raise the signal again, and the exit code with it."""

    def __init__(self, config: uvicorn.Config, on_drain: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._on_drain = on_drain

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Never given back: a second signal must not cut short what the process does after its last request.
        on_stop_signals(self._stop)
        yield

    def _stop(self) -> None:
        if self._on_drain is not None:
            self._on_drain()
        self.should_exit = True
