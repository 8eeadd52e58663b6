"""Publishing to RabbitMQ: persistent, mandatory, confirmed; over one connection that is made again when it is lost."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import attrgetter, itemgetter

import structlog

from alta_common.messaging.broker import address_of
from alta_common.messaging.stopping import is_told_to_stop, stop_if_told
from alta_common.messaging.topology import TopologyConflictError, declare_topology
from alta_outbox_relay import metrics
from alta_outbox_relay.amqp import spans
from alta_outbox_relay.amqp.address import Address
from alta_outbox_relay.amqp.connection import Connection
from alta_outbox_relay.amqp.errors import BrokerLostError
from alta_outbox_relay.amqp.ledger import Entry, Refusal, Sent, Sink
from alta_outbox_relay.event import Failure, PendingEvent

__all__ = ["BrokerLostError", "Publisher", "Sink"]

log = structlog.get_logger()

_TRANSPORT_ERRORS = (BrokerLostError, OSError, TimeoutError)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
# A connection that lives shorter than this is no reason to try again at once.
_SETTLED_SECONDS = 5.0
_NANOS = 1_000_000_000


class Publisher:
    """Publishes events once it is `ready`, up to `window` of them unconfirmed. `run` keeps it connected."""

    def __init__(self, rabbitmq_url: str, window: int = 1000) -> None:
        self.ready = asyncio.Event()
        self._url = rabbitmq_url
        self._address = Address.parse(rabbitmq_url, name="outbox-relay")
        self._window = window
        self._connection: Connection | None = None
        self._listeners: deque[Callable[[], None]] = deque()

    def when_room(self, act: Callable[[], None]) -> None:
        """Have `act` called when it becomes ready, and whenever there is room again."""
        self._listeners.append(act)

    @property
    def room(self) -> int:
        """Say how many more events may be sent now: none while not connected, blocked, or the socket is full."""
        connection = self._connection
        if connection is None or not connection.takes_more:
            return 0
        return self._window - len(connection.ledger.unconfirmed)

    async def check(self) -> None:
        """Raise `BrokerLostError` while the broker is not connected."""
        if not self.ready.is_set():
            raise BrokerLostError("the broker is not connected")

    async def run(self) -> None:
        """Connect, and connect again whenever the connection or its channel ends, until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            started = time.monotonic()
            try:
                await self._declare_topology()
                reason = await self._stay_connected()
            except _TRANSPORT_ERRORS as error:
                log.warning("broker.awaited", broker=address_of(self._url), error=repr(error))
            else:
                log.warning("broker.lost", reason=str(reason))
            stop_if_told()
            if time.monotonic() - started >= _SETTLED_SECONDS:
                pause = _FIRST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, _LONGEST_PAUSE)

    def send(self, events: Sequence[PendingEvent], sink: Sink) -> None:
        """Publish events, `room` of them at the most; the sink hears what becomes of each.

        Raises `BrokerLostError` when not connected: then none was sent.
        """
        connection = self._connection
        if connection is None or not connection.is_open:
            raise BrokerLostError("the broker is not connected")
        if len(events) > self.room:
            raise ValueError(f"{len(events)} events at once, but there is room for {self.room}")
        at, at_nanos = time.perf_counter(), time.time_ns()
        faulty: list[Failure] = []
        for schema, some in groupby(events, attrgetter("schema")):
            faulty += connection.publish(some, Sent(sink, schema, at, at_nanos))
        for failure in faulty:
            sink.faulty(failure)

    def settled(self) -> None:
        """Tell the sinks what the broker has said."""
        connection = self._connection
        assert connection is not None
        ledger = connection.ledger
        confirmed, ledger.confirmed = ledger.confirmed, []
        refused, ledger.refused = ledger.refused, []
        now = time.perf_counter()
        tracing = spans.is_tracing()
        for sink, events in _confirmed(confirmed, now, tracing):
            sink.confirmed(events)
        for refusal in refused:
            _refuse(refusal, now, tracing)
        self._tell_room()

    def changed(self) -> None:
        """Note that the connection is blocked, or not any more, or that its socket has room."""
        connection = self._connection
        metrics.blocked.set(1 if connection is not None and connection.is_blocked else 0)
        self._tell_room()

    def ended(self) -> None:
        """Tell the sinks what was lost with the connection."""
        connection, self._connection = self._connection, None
        self.ready.clear()
        metrics.connected.set(0)
        metrics.blocked.set(0)
        if connection is None:
            return
        for sink, some in groupby(connection.ledger.abandon(), lambda entry: entry[1].sink):
            sink.lost([event for event, _ in some])
        self._tell_room()

    async def _declare_topology(self) -> None:
        try:
            await declare_topology(self._url)
        except TopologyConflictError as error:
            # It is somebody's to migrate. What can be published goes out meanwhile.
            log.error("broker.topology_conflict", broker=address_of(self._url), detail=str(error))  # noqa: TRY400 - the text says it all
        except asyncio.CancelledError as error:
            if is_told_to_stop():
                raise
            # aio-pika cancels what waits on a channel that dies; nobody asked us to stop.
            raise BrokerLostError("the connection ended while the topology was declared") from error
        except Exception as error:  # aio-pika lets through what it makes of a peer that is no broker
            raise BrokerLostError(f"the topology was not declared: {error!r}") from error

    async def _stay_connected(self) -> BrokerLostError:
        """Be ready until connection or channel ends; return why it did."""
        connection = Connection(self._address, self)
        try:
            await connection.open()
            self._connection = connection
            metrics.connected.set(1)
            log.info("broker.connected")
            self.ready.set()
            self.changed()
            return await connection.wait_ended()
        finally:
            await connection.close()

    def _tell_room(self) -> None:
        listeners = tuple(self._listeners)
        # Another one is first each time: the first may take all the room.
        self._listeners.rotate(-1)
        for act in listeners:
            act()


def _confirmed(entries: list[Entry], now: float, tracing: bool) -> Iterable[tuple[Sink, list[PendingEvent]]]:
    """Count what was confirmed, and sort it by who wants to hear of it."""
    by_sink: dict[int, tuple[Sink, list[PendingEvent]]] = {}
    for sent, some in groupby(entries, itemgetter(1)):
        events = [event for event, _ in some]
        seconds = now - sent.at
        metrics.published.labels(sent.schema).inc(len(events))
        metrics.confirm_seconds.observe(sent.schema, seconds, len(events))
        if tracing:
            for event in events:
                spans.record(event, sent.at_nanos, sent.at_nanos + int(seconds * _NANOS))
        by_sink.setdefault(id(sent.sink), (sent.sink, []))[1].extend(events)
    return by_sink.values()


def _refuse(refusal: Refusal, now: float, tracing: bool) -> None:
    event, sent = refusal.entry
    (metrics.returns if refusal.returned else metrics.nacks).labels(sent.schema).inc()
    if tracing:
        spans.record(event, sent.at_nanos, sent.at_nanos + int((now - sent.at) * _NANOS), refusal.reason)
    sent.sink.refused(Failure(event, refusal.reason))
