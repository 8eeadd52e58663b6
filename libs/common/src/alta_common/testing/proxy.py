"""A way to the broker on which its answers come late, or not at all."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

_HEADER = struct.Struct(">BHI")
_METHOD_FRAME = 1

CANCEL_OK = (60, 31)
"""Class and method of `basic.cancel-ok` (AMQP 0-9-1, section 1.8)."""
DECLARE_OK = (50, 11)
"""Class and method of `queue.declare-ok`."""


class BrokerProxy:
    """Passes on what client and broker say, except what it is told to hold back."""

    def __init__(self, rabbitmq_url: str) -> None:
        self._broker = urlsplit(rabbitmq_url)
        self.url = ""
        self.held = 0
        """How many answers were held back."""
        self._held_back: dict[tuple[int, int], float | None] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()

    def hold_back(self, method: tuple[int, int], seconds: float | None) -> None:
        """Let the broker's answers of this kind come so much later; with None never."""
        self._held_back[method] = seconds

    def let_through(self, method: tuple[int, int]) -> None:
        """Hold back this kind of answer no longer."""
        self._held_back.pop(method, None)

    def fall_silent(self) -> None:
        """Let nothing more come from the broker on the connections that there are; they stay open."""
        self._silent |= self._writers

    def close(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.close()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        theirs, ours = await asyncio.open_connection(self._broker.hostname, self._broker.port or 5672)
        self._writers |= {writer, ours}
        with suppress(OSError):
            await asyncio.gather(self._pass_on(reader, ours), self._pass_back(theirs, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def _pass_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                header = await reader.readexactly(_HEADER.size)
                kind, _, size = _HEADER.unpack(header)
                rest = await reader.readexactly(size + 1)
                method = struct.unpack(">HH", rest[:4]) if kind == _METHOD_FRAME else None
                if writer in self._silent:
                    continue
                if method in self._held_back:
                    self.held += 1
                    self._write_late(writer, header + rest, self._held_back[method])
                else:
                    writer.write(header + rest)
        writer.close()

    def _write_late(self, writer: asyncio.StreamWriter, frame: bytes, seconds: float | None) -> None:
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, writer.write, frame)


@asynccontextmanager
async def proxied(rabbitmq_url: str) -> AsyncIterator[BrokerProxy]:
    """Run a proxy before the broker while the block runs; `url` is the broker's, by way of the proxy."""
    proxy = BrokerProxy(rabbitmq_url)
    server = await asyncio.start_server(proxy.connect, "127.0.0.1", 0)
    address = urlsplit(rabbitmq_url)
    port = server.sockets[0].getsockname()[1]
    account = (address.netloc.rpartition("@")[0] + "@").removeprefix("@")
    proxy.url = urlunsplit(address._replace(netloc=f"{account}127.0.0.1:{port}"))
    try:
        yield proxy
    finally:
        server.close()
        proxy.close()
