"""Running an application under uvicorn with the hardened protocol."""

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import structlog
import uvicorn

from alta_gateway.protocol.connections import Connections
from alta_gateway.protocol.hardened import protocol_for
from alta_gateway.settings import GatewaySettings

log = structlog.get_logger()


@asynccontextmanager
async def serving(app: Any, settings: GatewaySettings) -> AsyncIterator[int]:
    """Serve inside the block, which gets the port; at its end finish what runs, for `drain_seconds` at most.

    Ends the process with a clear message when the port is taken.
    """
    listening = _listen(settings.http_host, settings.http_port)
    port: int = listening.getsockname()[1]
    connections = Connections(settings)
    server = _Server(_config(app, settings, connections))
    connections.start()
    task = asyncio.create_task(server.serve(sockets=[listening]), name="http")
    log.info("http.listening", host=settings.http_host, port=port)
    try:
        yield port
    finally:
        server.should_exit = True
        await task
        connections.stop()
        log.info("http.stopped")


def _config(app: Any, settings: GatewaySettings, connections: Connections) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol_for(connections),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # uvicorn would believe X-Forwarded-For from 127.0.0.1.
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=math.ceil(settings.drain_seconds),
    )


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
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
    """uvicorn's server without its signals: they are the process's business, and it would raise them again."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
