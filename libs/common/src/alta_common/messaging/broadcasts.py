"""Hearing broadcasts: every process of a service hears every message, each on a queue of its own.

The queue is exclusive, named by the broker, and gone with its connection. What is said while nobody listens is lost,
and what cannot be handled is logged and forgotten: there is no retry, and there are no dead letters. Whoever must not
miss a fact looks it up as well, as engine services look for the marker of a cancellation.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import aio_pika
import structlog
from aio_pika.abc import AbstractIncomingMessage

from alta_common.contracts.event import Event
from alta_common.messaging.broker import RECONNECT_SECONDS, BrokerUnavailableError, close, named, when_there
from alta_common.messaging.delivery import Handler
from alta_common.messaging.envelope import Envelope
from alta_common.messaging.failures import UnknownEventError
from alta_common.messaging.topology import BROADCASTS, exchange_of
from alta_common.telemetry.context import bind_request, span
from alta_common.telemetry.metrics import messages_handled

log = structlog.get_logger()


class BroadcastListener:
    """Hears the broadcasts of one service (`topology.BROADCASTS`) until it is stopped, across lost connections."""

    def __init__(self, rabbitmq_url: str, service: str, handlers: Sequence[Handler[Any]]) -> None:
        self._url = rabbitmq_url
        self._service = service
        self._bindings = BROADCASTS.get(service, ())
        self._handlers: Mapping[type[Event], Handler[Any]] = {one.event_type: one for one in handlers}
        self._listening = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once broadcasts are heard; wait for the broker until then."""
        self._task = asyncio.create_task(self._stay_connected(), name="broadcasts")
        await self._listening.wait()

    async def stop(self) -> None:
        """Hear no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def check(self) -> None:
        """Raise `BrokerUnavailableError` while broadcasts are missed (readiness)."""
        if not self._listening.is_set():
            raise BrokerUnavailableError("broadcasts are not heard")

    async def _stay_connected(self) -> None:
        while True:
            try:
                await when_there(self._url, self._listen)
                log.warning("broadcasts.lost", service=self._service)
            except Exception:
                # Whatever it is: a task that ended here would leave the process deaf, or waiting for its own start.
                log.exception("broadcasts.failed", service=self._service)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        """Listen until the connection ends.

        Not over a robust connection: that one would declare the queue again under the name that the broker had given
        it, which the broker refuses to clients (`amq.` is its own).
        """
        ended = asyncio.Event()
        connection = await aio_pika.connect(named(self._url, f"{self._service} broadcasts"), timeout=10)
        try:
            connection.close_callbacks.add(lambda *_: ended.set())
            channel = await connection.channel()
            channel.close_callbacks.add(lambda *_: ended.set())
            queue = await channel.declare_queue(exclusive=True, auto_delete=True, arguments={"x-queue-type": "classic"})
            for binding in self._bindings:
                await queue.bind(exchange_of(binding), routing_key=binding)
            # The broker may delete the queue and leave us the channel.
            (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(lambda _: ended.set())
            await queue.consume(self._hear, no_ack=True)
            self._listening.set()
            await ended.wait()
        finally:
            self._listening.clear()
            await close(connection)

    async def _hear(self, message: AbstractIncomingMessage) -> None:
        try:
            envelope = Envelope.read(message.body, message.headers)
            with (
                bind_request(envelope.correlation_id),
                span(f"hear {message.routing_key}", traceparent=envelope.traceparent),
            ):
                await self._handle(envelope.event(message.routing_key or ""))
        except Exception:
            log.exception("broadcast.ignored", service=self._service, routing_key=message.routing_key)
            self._account("unknown", "ignored")

    async def _handle(self, event: Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is None:
            raise UnknownEventError(f"nobody handles {event.ROUTING_KEY} in {self._service}")
        await handler.handle(event)
        self._account(event.TYPE, "handled")

    def _account(self, event_type: str, outcome: str) -> None:
        messages_handled.labels(f"{self._service} broadcasts", event_type, outcome).inc()
