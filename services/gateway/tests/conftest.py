"""A gateway in this process, in front of a small real service."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import httpx
import orjson
import pytest
import uvicorn

from alta_common.ids import new_id
from alta_common.telemetry.setup import setup_telemetry
from alta_common.testing.tokens import TokenMaker
from alta_gateway.main import create_gateway
from alta_gateway.server import serving
from alta_gateway.settings import GatewaySettings

Handler = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass
class Seen:
    """A request that reached the service."""

    method: str
    path: str
    raw_path: bytes
    query: bytes
    headers: list[tuple[str, str]]
    body: bytes = b""
    size: int = 0

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known == name]


@dataclass
class Service:
    """A service behind the gateway: answers 200 with JSON, unless a test says otherwise for a path."""

    url: str
    jwks: dict[str, Any]
    seen: list[Seen] = field(default_factory=list)
    handlers: dict[str, Handler] = field(default_factory=dict)
    gone: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/.well-known/jwks.json" and path not in self.handlers:
            await respond(send, 200, orjson.dumps(self.jwks))
            return
        if path in self.handlers:
            await self.handlers[path](scope, receive, send)
            return
        seen = await self.note(scope, receive)
        await respond(send, 200, orjson.dumps({"path": seen.path, "size": seen.size}))

    async def note(self, scope: Any, receive: Any) -> Seen:
        """Read a request to its end and remember it."""
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        seen = Seen(scope["method"], scope["path"], scope["raw_path"], scope["query_string"], headers)
        self.seen.append(seen)
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone += 1
                raise ConnectionError
            seen.size += len(message["body"])
            if len(seen.body) < 100_000:
                seen.body += message["body"]
            if not message["more_body"]:
                return seen

    def answers(self, path: str, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer a path with this."""

        async def handler(scope: Any, receive: Any, send: Any) -> None:
            await self.note(scope, receive)
            await respond(send, status, body, headers)

        self.handlers[path] = handler


async def respond(send: Any, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    named = {
        "content-type": "application/json",
        **{name.replace("_", "-"): value for name, value in (headers or {}).items()},
    }
    raw = [(name.encode(), value.encode()) for name, value in named.items() if value]
    if status not in (204, 304):
        raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Edge:
    """A running gateway and a client of it."""

    port: int
    http: httpx.AsyncClient
    settings: GatewaySettings

    async def raw(self, *pieces: bytes, seconds: float = 60) -> bytes:
        """Send bytes as they are; return everything that comes back until the gateway closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            async with asyncio.timeout(seconds):
                return await reader.read()
        finally:
            writer.close()


class MakeEdge(Protocol):
    async def __call__(self, **settings: Any) -> Edge: ...


@asynccontextmanager
async def running_service(jwks: dict[str, Any]) -> AsyncIterator[Service]:
    listening = socket.create_server(("127.0.0.1", 0))
    service = Service(f"http://127.0.0.1:{listening.getsockname()[1]}", jwks)
    server = uvicorn.Server(uvicorn.Config(service, lifespan="off", ws="none", log_config=None, access_log=False))
    server.config.timeout_graceful_shutdown = 1
    task = asyncio.create_task(server._serve(sockets=[listening]))
    try:
        yield service
    finally:
        server.should_exit = True
        await task


@pytest.fixture(scope="session", autouse=True)
def telemetry() -> None:
    setup_telemetry(GatewaySettings(redis_url="redis://unused"), "gateway")


@pytest.fixture
def tokens() -> TokenMaker:
    return TokenMaker()


@pytest.fixture
def user_id() -> UUID:
    return new_id()


@pytest.fixture
def signed_in(tokens: TokenMaker, user_id: UUID) -> dict[str, str]:
    return tokens.headers(user_id)


@pytest.fixture
async def service(tokens: TokenMaker) -> AsyncIterator[Service]:
    async with running_service(tokens.jwks) as service:
        yield service


@pytest.fixture
async def make_edge(service: Service, redis_url: str) -> AsyncIterator[MakeEdge]:
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> Edge:
            defaults = {
                "http_port": 0,
                "redis_url": redis_url,
                "identity_url": service.url,
                "projects_url": service.url,
                "auth_jwks_url": f"{service.url}/.well-known/jwks.json",
                "drain_seconds": 1,
                # These are about what the gateway does, not about how busy this machine is.
                "redis_timeout_seconds": 30,
                "redis_patient_timeout_seconds": 30,
            }
            chosen = GatewaySettings(**{**defaults, **settings})
            gateway, _ = await stack.enter_async_context(create_gateway(chosen))
            port = await stack.enter_async_context(serving(gateway, chosen))
            http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120, verify=False)
            await stack.enter_async_context(http)
            return Edge(port, http, chosen)

        yield make


@pytest.fixture
async def edge(make_edge: MakeEdge) -> Edge:
    return await make_edge()
