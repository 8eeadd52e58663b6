"""Publishing without an outbox: to a real broker, and to one that does on demand what a real one does by accident."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pamqp.frame
import pytest
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from alta_common.clock import utc_now
from alta_common.ids import new_id
from alta_common.testing import eventually
from alta_outbox_relay.event import Failure, PendingEvent
from alta_outbox_relay.publisher import Publisher


def an_event(**changes: Any) -> PendingEvent:
    """An event that `email_queue` hears."""
    values: dict[str, Any] = {
        "schema": "projects",
        "shard": 3,
        "id": 1,
        "attempts": 0,
        "event_id": new_id(),
        "event_type": "PROJECT_CREATED",
        "exchange": "projects.events",
        "routing_key": "projects.project.created.v1",
        "aggregate_type": "project",
        "aggregate_id": new_id(),
        "body": b'{"specversion":"1.0"}',
        "headers": {"cloudEvents:time": "2026-11-24T03:00:00Z", "traceparent": f"00-{'a' * 32}-{'b' * 16}-00"},
        "correlation_id": "request-1",
        "created_at": utc_now(),
    }
    return PendingEvent(**values | changes)


@pytest.fixture(scope="session")
def make_event() -> Callable[..., PendingEvent]:
    return an_event


@pytest.fixture
def make_events() -> Callable[..., list[PendingEvent]]:
    return lambda count, **changes: [an_event(id=number, **changes) for number in range(1, count + 1)]


@dataclass
class Heard:
    """A sink that remembers."""

    confirmed_events: list[PendingEvent] = field(default_factory=list)
    refusals: list[Failure] = field(default_factory=list)
    faults: list[Failure] = field(default_factory=list)
    lost_events: list[PendingEvent] = field(default_factory=list)

    def confirmed(self, events: list[PendingEvent], /) -> None:
        self.confirmed_events += events

    def refused(self, failure: Failure, /) -> None:
        self.refusals.append(failure)

    def faulty(self, failure: Failure, /) -> None:
        self.faults.append(failure)

    def lost(self, events: list[PendingEvent], /) -> None:
        self.lost_events += events

    @property
    def count(self) -> int:
        return len(self.confirmed_events) + len(self.refusals) + len(self.faults) + len(self.lost_events)

    @property
    def confirmed_numbers(self) -> list[int]:
        return [event.id for event in self.confirmed_events]

    @property
    def refused_numbers(self) -> list[int]:
        return [failure.event.id for failure in self.refusals]

    @property
    def lost_numbers(self) -> list[int]:
        return [event.id for event in self.lost_events]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@asynccontextmanager
async def publishing(url: str, window: int = 1000, *, connected: bool = True) -> AsyncIterator[Publisher]:
    publisher = Publisher(url, window)
    running = asyncio.ensure_future(publisher.run())
    try:
        if connected:
            await eventually(publisher.ready.is_set)
        yield publisher
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def run_publisher() -> Callable[..., Any]:
    """Runs a publisher on the URL that is given."""
    return publishing


@dataclass
class Published:
    """A message as it came in."""

    publish: commands.Basic.Publish
    content: Any = None
    pieces: list[bytes] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


class Peer:
    """One connection to the scripted broker."""

    def __init__(self, broker: "ScriptedBroker", writer: asyncio.StreamWriter) -> None:
        self.properties: dict[str, Any] = {}
        self.heard: list[Any] = []
        """Every frame but those of messages."""
        self.messages: list[Published] = []
        self.gone = asyncio.Event()
        self._broker = broker
        self._writer = writer

    def send(self, frame: Any, channel: int = 1) -> None:
        self._writer.write(pamqp.frame.marshal(frame, channel))

    def send_raw(self, data: bytes) -> None:
        self._writer.write(data)

    def give_back(self, message: Published) -> None:
        """Return a message as one that no queue hears."""
        publish = message.publish
        self.send(commands.Basic.Return(312, "NO_ROUTE", publish.exchange, publish.routing_key))
        self.send(message.content)
        for piece in message.pieces:
            self.send(ContentBody(piece))

    def hang_up(self) -> None:
        self._writer.transport.abort()

    @property
    def beats(self) -> int:
        return sum(isinstance(frame, Heartbeat) for frame in self.heard)

    def count(self, kind: type[Any]) -> int:
        return sum(isinstance(frame, kind) for frame in self.heard)

    async def serve(self, reader: asyncio.StreamReader) -> None:
        assert await reader.readexactly(8) == b"AMQP\x00\x00\x09\x01"
        self.send_raw(self._broker.greeting)
        while True:
            await self._broker.reads.wait()
            head = await reader.readexactly(7)
            rest = await reader.readexactly(int.from_bytes(head[3:], "big") + 1)
            _, channel, frame = pamqp.frame.unmarshal(head + rest)
            self._take(channel, frame)

    def _take(self, channel: int, frame: Any) -> None:
        match frame:
            case commands.Basic.Publish():
                self.messages.append(Published(frame))
            case ContentHeader():
                self.messages[-1].content = frame
            case ContentBody():
                self.messages[-1].pieces.append(frame.value)
            case _:
                self.heard.append(frame)
                self._answer(channel, frame)
                return
        message = self.messages[-1]
        if self._broker.confirms and message.content and len(message.body) == message.content.body_size:
            self.send(commands.Basic.Ack(len(self.messages)))

    def _answer(self, channel: int, frame: Any) -> None:
        if isinstance(frame, commands.Connection.StartOk):
            self.properties = dict(frame.client_properties)
        answer = self._broker.answers.get(type(frame))
        if answer is not None:
            self.send(answer, channel)


class ScriptedBroker:
    """Speaks AMQP 0-9-1 as far as a publisher hears it; beyond that it does what a test says."""

    def __init__(self) -> None:
        properties = {"capabilities": {"publisher_confirms": True}}
        self.greeting = pamqp.frame.marshal(commands.Connection.Start(server_properties=properties), 0)
        self.confirms = True
        """Whether every message is confirmed as it comes."""
        self.reads = asyncio.Event()
        """Cleared, nothing is read from the socket."""
        self.reads.set()
        self.peers: list[Peer] = []
        self.url = ""
        self.answers: dict[type[Any], Any] = {
            commands.Connection.StartOk: commands.Connection.Tune(2047, 131_072, 0),
            commands.Connection.Open: commands.Connection.OpenOk(),
            commands.Connection.Close: commands.Connection.CloseOk(),
            commands.Channel.Open: commands.Channel.OpenOk(),
            commands.Channel.Close: commands.Channel.CloseOk(),
            commands.Confirm.Select: commands.Confirm.SelectOk(),
            commands.Exchange.Declare: commands.Exchange.DeclareOk(),
            commands.Queue.Declare: commands.Queue.DeclareOk("queue", 0, 0),
            commands.Queue.Bind: commands.Queue.BindOk(),
        }

    def tune(self, frame_max: int = 131_072, heartbeat: int = 0) -> None:
        self.answers[commands.Connection.StartOk] = commands.Connection.Tune(2047, frame_max, heartbeat)

    @property
    def publishers(self) -> list[Peer]:
        """The connections that a publisher has made, beside those that only declare."""
        return [peer for peer in self.peers if peer.properties.get("connection_name") == "outbox-relay"]

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(self, writer)
        self.peers.append(peer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await peer.serve(reader)
        peer.gone.set()
        writer.close()

    @asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["ScriptedBroker"]:
        listener = socket.create_server(("127.0.0.1", 0))
        # So that a socket that nobody reads from is full soon, however much this machine would buffer.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        port = listener.getsockname()[1]
        server = await asyncio.start_server(self.accept, sock=listener, ssl=tls)
        self.url = f"amqps://localhost:{port}/" if tls else f"amqp://127.0.0.1:{port}/"
        try:
            yield self
        finally:
            server.close()
            self.reads.set()
            for peer in self.peers:
                peer.hang_up()
            for peer in self.peers:
                await peer.gone.wait()


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedBroker]:
    async with ScriptedBroker().listening() as broker:
        yield broker


@pytest.fixture
def make_scripted() -> type[ScriptedBroker]:
    return ScriptedBroker
