"""Publishing to RabbitMQ: persistent, mandatory, confirmed; over one connection that is made again when it is lost."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, DeliveryMode
from aio_pika.exceptions import AMQPError, ChannelPreconditionFailed, DeliveryError, PublishError
from opentelemetry.trace import SpanKind

from alta_common.contracts.event import CONTENT_TYPE, MAX_EVENT_BYTES
from alta_common.contracts.registry import EXCHANGES
from alta_common.messaging.broker import named
from alta_common.messaging.topology import declare_topology, is_broadcast
from alta_common.telemetry.context import span
from alta_outbox_relay import metrics
from alta_outbox_relay.event import PendingEvent

log = structlog.get_logger()

_TRANSPORT_ERRORS = (AMQPError, OSError, TimeoutError, RuntimeError)
_LONGEST_PAUSE = 5.0
_BLOCKED_LOOK = 0.5
_CLOSE_SECONDS = 5


class FaultyEventError(Exception):
    """The event itself is wrong; publishing it again cannot help."""


class RefusedError(Exception):
    """The broker did not take the event: no queue hears it, or it was nacked."""


class BrokerLostError(Exception):
    """The connection ended before the confirm; the event may have arrived or not."""


class Publisher:
    """Publishes events once it is `ready`. `run` keeps it connected."""

    def __init__(self, rabbitmq_url: str) -> None:
        self.ready = asyncio.Event()
        self._url = rabbitmq_url
        self._channel: AbstractChannel | None = None
        self._listeners: list[Callable[[], None]] = []

    def when_ready(self, act: Callable[[], None]) -> None:
        """Have `act` called each time that the publisher becomes ready."""
        self._listeners.append(act)

    async def check(self) -> None:
        """Raise `BrokerLostError` while the broker is not connected."""
        if not self.ready.is_set():
            raise BrokerLostError("the broker is not connected")

    async def run(self) -> None:
        """Connect, and connect again whenever the connection or its channel ends, until cancelled."""
        pause = 0.1
        while True:
            try:
                await declare_topology(self._url)
            except ChannelPreconditionFailed as error:
                # Somebody declared a queue differently. Its events can be published all the same, and the others too.
                log.exception("topology.differs", error=repr(error))
            except _TRANSPORT_ERRORS as error:
                pause = await self._wait_for_broker(error, pause)
                continue
            try:
                await self._stay_connected()
                pause = 0.1
            except _TRANSPORT_ERRORS as error:
                pause = await self._wait_for_broker(error, pause)

    async def publish(self, event: PendingEvent) -> None:
        """Publish one event and wait for its confirm, for as long as the broker is blocked if need be.

        Raises `FaultyEventError`, `RefusedError`, `BrokerLostError`.
        """
        _check(event)
        started = time.perf_counter()
        traceparent = event.headers.get("traceparent")
        # The span belongs to the trace that the event was written in and links to its place there; the message
        # carries that place unchanged, so that the consumer continues from the writer and not from us.
        with span(
            f"send {event.exchange}",
            traceparent=traceparent,
            links=[traceparent] if traceparent else [],
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": "rabbitmq",
                "messaging.operation.type": "send",
                "messaging.destination.name": event.exchange,
                "messaging.rabbitmq.destination.routing_key": event.routing_key,
                "messaging.message.id": str(event.event_id),
            },
        ):
            await self._send(event)
        metrics.published.labels(event.schema).inc()
        metrics.confirm_seconds.labels(event.schema).observe(time.perf_counter() - started)

    async def _send(self, event: PendingEvent) -> None:
        channel = self._channel
        if channel is None:
            raise BrokerLostError("the broker is not connected")
        try:
            exchange = await channel.get_exchange(event.exchange, ensure=False)
            # Without a timeout: while an alarm blocks us the broker still has what was sent, and would get it twice.
            # A peer that is gone is noticed by heartbeats.
            heard_by_a_queue = not is_broadcast(event.routing_key)
            await exchange.publish(_message(event), event.routing_key, mandatory=heard_by_a_queue)
        except PublishError as error:
            metrics.returns.labels(event.schema).inc()
            raise RefusedError(f"no queue hears {event.routing_key} at {event.exchange}") from error
        except DeliveryError as error:
            metrics.nacks.labels(event.schema).inc()
            raise RefusedError(f"the broker refused it: {error!r}") from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # A channel that ends cancels whoever waits for a confirm on it.
            raise BrokerLostError("the channel ended before the confirm") from error
        except _TRANSPORT_ERRORS as error:
            raise BrokerLostError(repr(error)) from error
        except (ValueError, TypeError, OverflowError) as error:
            raise FaultyEventError(f"it cannot be written as AMQP: {error}") from error

    async def _stay_connected(self) -> None:
        """Be ready until connection or channel ends."""
        ended = asyncio.Event()
        connection = await aio_pika.connect(named(self._url, "outbox-relay"), timeout=10)
        try:
            connection.close_callbacks.add(lambda *_: ended.set())
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            channel.close_callbacks.add(lambda *_: ended.set())
            self._channel = channel
            self.ready.set()
            for act in self._listeners:
                act()
            metrics.connected.set(1)
            log.info("broker.connected")
            await _watch_blocked(connection, ended)
        finally:
            self.ready.clear()
            self._channel = None
            metrics.connected.set(0)
            metrics.blocked.set(0)
            with suppress(*_TRANSPORT_ERRORS):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await connection.close()
        log.warning("broker.lost")

    async def _wait_for_broker(self, error: BaseException, pause: float) -> float:
        log.warning("broker.awaited", error=repr(error))
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
        return min(pause * 2, _LONGEST_PAUSE)


async def _watch_blocked(connection: AbstractConnection, ended: asyncio.Event) -> None:
    """Return when the connection has ended; until then, note whether the broker blocks it."""
    while not ended.is_set():
        transport = connection.transport
        if transport is not None:
            unblocked = asyncio.ensure_future(transport.connection.ready())
            done, _ = await asyncio.wait({unblocked}, timeout=0.01)
            unblocked.cancel()
            metrics.blocked.set(0 if done else 1)
        with suppress(TimeoutError):
            async with asyncio.timeout(_BLOCKED_LOOK):
                await ended.wait()


def _check(event: PendingEvent) -> None:
    # One unknown exchange among many publishes in flight would close the channel under all of them.
    if event.exchange not in EXCHANGES:
        raise FaultyEventError(f"exchange {event.exchange!r} is not one of ours")
    if len(event.body) > MAX_EVENT_BYTES:
        raise FaultyEventError(f"it has {len(event.body)} bytes, {MAX_EVENT_BYTES} are allowed")


def _message(event: PendingEvent) -> aio_pika.Message:
    return aio_pika.Message(
        event.body,
        content_type=CONTENT_TYPE,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=str(event.event_id),
        type=event.event_type,
        timestamp=event.created_at,
        app_id=event.exchange.removesuffix(".events"),
        correlation_id=event.correlation_id,
        headers=dict(event.headers),
    )
