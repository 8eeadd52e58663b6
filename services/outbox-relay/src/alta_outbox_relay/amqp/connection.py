"""One connection with one channel in confirm mode, as an `asyncio.Protocol`: no task and no future per message."""

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar, cast

import pamqp.frame
import structlog
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader, ProtocolHeader
from pamqp.heartbeat import Heartbeat as HeartbeatFrame

from alta_outbox_relay.amqp.address import Address
from alta_outbox_relay.amqp.encoding import CHANNEL, Encoder
from alta_outbox_relay.amqp.errors import BrokerDeniedError, BrokerLostError, FaultyEventError, ProtocolError
from alta_outbox_relay.amqp.frames import FrameReader
from alta_outbox_relay.amqp.heartbeat import Heartbeat
from alta_outbox_relay.amqp.ledger import Ledger, Sent
from alta_outbox_relay.event import Failure, PendingEvent

log = structlog.get_logger()

T = TypeVar("T")

_FRAME_MAX = 131_072
_SMALLEST_FRAME_MAX = 4096
_NO_ROUTE = 312
_DENIED = frozenset({403, 530})
_CLOSE_SECONDS = 5.0
# Beyond this much unsent nothing more is taken, until most of it has gone.
_HIGH_WATER, _LOW_WATER = 1 << 20, 1 << 18

_CAPABILITIES = {
    "authentication_failure_close": True,
    "basic.nack": True,
    "connection.blocked": True,
    "publisher_confirms": True,
}


class Owner(Protocol):
    """Who is told what happens on a connection; on the event loop, and must not raise."""

    def settled(self) -> None:
        """Something was confirmed or refused; the ledger knows what."""

    def changed(self) -> None:
        """It takes events again, or takes no more of them: it was blocked or unblocked, its socket has room."""

    def ended(self) -> None:
        """It is over: what the ledger still has unconfirmed will never be."""


class Connection(asyncio.Protocol):
    """A connection to the broker. `open` it, `publish`, and `close` it in any case."""

    def __init__(self, address: Address, owner: Owner) -> None:
        self.ledger = Ledger()
        self.is_open = False
        self.is_blocked = False
        """Whether the broker has stopped taking messages (an alarm)."""
        self._is_full = False
        self._address = address
        self._owner = owner
        self._loop = loop = asyncio.get_running_loop()
        self._reader = FrameReader(self.ledger.ack, self._on_frame)
        self._encoder = Encoder(_FRAME_MAX)
        self._transport: asyncio.Transport | None = None
        self._over: asyncio.Future[BrokerLostError] = loop.create_future()
        self._disconnected: asyncio.Future[None] = loop.create_future()
        self._answer: asyncio.Future[Any] | None = None
        self._heartbeat = Heartbeat(lambda: self._write(HeartbeatFrame()), self._on_silence)
        self._returned: commands.Basic.Return | None = None

    @property
    def takes_more(self) -> bool:
        """Say whether events may be published now."""
        return self.is_open and not self.is_blocked and not self._is_full

    async def open(self) -> None:
        """Connect and get the channel ready. Raises `BrokerLostError`, `OSError`, `TimeoutError`."""
        address = self._address
        async with asyncio.timeout(address.timeout):
            context = await self._loop.run_in_executor(None, address.tls.context) if address.tls else None
            await self._loop.create_connection(lambda: self, address.host, address.port, ssl=context)
            start = await self._ask(ProtocolHeader(), commands.Connection.Start)
            tune = await self._ask(self._start_ok(start), commands.Connection.Tune)
            self._tune(tune)
            await self._ask(commands.Connection.Open(address.vhost), commands.Connection.OpenOk)
            await self._ask(commands.Channel.Open(), commands.Channel.OpenOk, CHANNEL)
            await self._ask(commands.Confirm.Select(), commands.Confirm.SelectOk, CHANNEL)
        # It may have ended between the last answer and our turn to see it.
        if self._over.done():
            raise self._over.result()
        self.is_open = True

    async def wait_ended(self) -> BrokerLostError:
        """Return why the connection ended, once it has."""
        return await asyncio.shield(self._over)

    async def close(self) -> None:
        """End it: in order when it is open, and in five seconds in any case."""
        transport = self._transport
        if transport is None:
            return
        self.is_open = False
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                if not self._over.done():
                    await self._ask(commands.Connection.Close(200, "goodbye", 0, 0), commands.Connection.CloseOk)
                    self._end(BrokerLostError("we closed the connection"))
                transport.close()
                await asyncio.shield(self._disconnected)
        except (BrokerLostError, TimeoutError):
            pass
        finally:
            self._end(BrokerLostError("we closed the connection"))
            transport.abort()

    def publish(self, events: Iterable[PendingEvent], sent: Sent) -> list[Failure]:
        """Send events; return those that cannot be. The connection must be open."""
        assert self._transport is not None
        encode = self._encoder.encode
        chunks: list[bytes] = []
        good: list[PendingEvent] = []
        faulty: list[Failure] = []
        for event in events:
            try:
                chunks.append(encode(event))
            except FaultyEventError as error:
                faulty.append(Failure(event, str(error)))
            else:
                good.append(event)
        if good:
            self.ledger.enter(good, sent)
            self._heartbeat.said = True
            self._transport.write(b"".join(chunks))
        return faulty

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to hear."""
        # uvloop's transports are not of asyncio's class.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(_HIGH_WATER, _LOW_WATER)

    def data_received(self, data: bytes) -> None:
        """Take what the broker sends."""
        self._heartbeat.heard = True
        if self._over.done():
            return
        try:
            self._reader.feed(data)
        except BrokerLostError as error:
            self._tell_settled()
            self._end(error)
            self._abort()
        else:
            self._tell_settled()

    def pause_writing(self) -> None:
        """Take no more events: the socket is full."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Take events again."""
        self._is_full = False
        self._owner.changed()

    def connection_lost(self, exc: Exception | None) -> None:
        """End: there is nobody on the other side any more."""
        self._end(BrokerLostError(f"the connection was cut: {exc!r}" if exc else "the broker hung up"))
        if not self._disconnected.done():
            self._disconnected.set_result(None)

    def _start_ok(self, start: commands.Connection.Start) -> commands.Connection.StartOk:
        address = self._address
        if address.mechanism not in start.mechanisms.split():
            raise BrokerDeniedError(f"the broker knows {start.mechanisms}, but not {address.mechanism}")
        properties: dict[str, Any] = {
            "product": "alta-outbox-relay",
            "connection_name": address.name,
            "capabilities": _CAPABILITIES,
        }
        response = f"\0{address.user}\0{address.password}" if address.mechanism == "PLAIN" else ""
        return commands.Connection.StartOk(properties, address.mechanism, response, "en_US")

    def _tune(self, tune: commands.Connection.Tune) -> None:
        frame_max = min(tune.frame_max or _FRAME_MAX, _FRAME_MAX)
        if frame_max < _SMALLEST_FRAME_MAX:
            raise ProtocolError(f"frames of {frame_max} bytes at the most, {_SMALLEST_FRAME_MAX} is the least allowed")
        wanted, offered = self._address.heartbeat, tune.heartbeat
        interval = min(wanted, offered) if wanted and offered else max(wanted, offered)
        self._encoder = Encoder(frame_max)
        self._reader.limit = frame_max
        self._write(commands.Connection.TuneOk(CHANNEL, frame_max, interval))
        self._heartbeat.start(interval)

    def _on_silence(self, seconds: float) -> None:
        self._end(BrokerLostError(f"the broker was silent for {seconds:g} s"))
        self._abort()

    async def _ask(self, request: Any, expected: type[T], channel: int = 0) -> T:
        """Send a request and return its answer."""
        if self._over.done():
            raise self._over.result()
        self._answer = self._loop.create_future()
        self._write(request, channel)
        answer = await self._answer
        if not isinstance(answer, expected):
            raise ProtocolError(f"{answer.name} came where {expected.__name__} was due")
        return answer

    def _write(self, frame: Any, channel: int = 0) -> None:
        assert self._transport is not None
        self._heartbeat.said = True
        self._transport.write(pamqp.frame.marshal(frame, channel))

    def _on_frame(self, frame: Any) -> None:
        match frame:
            case HeartbeatFrame():
                pass
            case commands.Basic.Nack():
                self.ledger.nack(frame.delivery_tag, frame.multiple)
            case commands.Basic.Return():
                self._returned = frame
            case ContentHeader() if self._returned is not None:
                self._give_back(self._returned, frame)
                self._returned = None
            case ContentBody():
                pass
            case commands.Connection.Blocked():
                self._set_blocked(True, frame.reason)
            case commands.Connection.Unblocked():
                self._set_blocked(False)
            case commands.Connection.Close() | commands.Channel.Close():
                self._on_close(frame)
            case _ if self._answer is not None and not self._answer.done():
                self._answer.set_result(frame)
            case _:
                raise ProtocolError(f"{frame.name} came, and nobody waits for it")

    def _give_back(self, returned: commands.Basic.Return, content: ContentHeader) -> None:
        if returned.reply_code == _NO_ROUTE:
            reason = f"no queue hears {returned.routing_key} at {returned.exchange}"
        else:
            reason = f"the broker returned it: {returned.reply_code} {returned.reply_text}"
        self.ledger.give_back(content.properties.message_id or "", reason)

    def _set_blocked(self, blocked: bool, reason: str = "") -> None:
        self.is_blocked = blocked
        log.warning("broker.blocked" if blocked else "broker.unblocked", reason=reason)
        self._owner.changed()

    def _on_close(self, frame: commands.Connection.Close | commands.Channel.Close) -> None:
        if isinstance(frame, commands.Channel.Close):
            # With its only channel the connection is of no use.
            what = "channel"
            self._write(commands.Channel.CloseOk(), CHANNEL)
            self._write(commands.Connection.Close(200, "goodbye", 0, 0))
        else:
            what = "connection"
            self._write(commands.Connection.CloseOk())
        denied = not self.is_open and frame.reply_code in _DENIED
        kind = BrokerDeniedError if denied else BrokerLostError
        self._tell_settled()
        self._end(kind(f"the broker closed the {what}: {frame.reply_text}"))

    def _tell_settled(self) -> None:
        if self.ledger.confirmed or self.ledger.refused:
            self._owner.settled()

    def _end(self, error: BrokerLostError) -> None:
        if self._over.done():
            return
        self.is_open = False
        self._over.set_result(error)
        self._heartbeat.stop()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self._owner.ended()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
