"""The consumers of a process, on FastStream.

What FastStream would do differently by itself, and why it may not (measured with 0.7.8):
prefetch is unlimited unless a subscriber brings a channel of its own; a queue declared on the broker before start
loses that channel; requeueing on error handles a poisoned message thousands of times a second; its telemetry
middleware overwrites the trace that a message carries. So: one channel a queue, queues declared beforehand and only
looked up here, acknowledgements by hand, no middleware.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from faststream.rabbit.message import RabbitMessage

from alta_common.messaging.broadcasts import BroadcastListener
from alta_common.messaging.broker import (
    CONNECTION_ERRORS,
    RECONNECT_SECONDS,
    BrokerUnavailableError,
    ConfirmedSender,
    address_of,
    named,
    when_there,
)
from alta_common.messaging.delivery import DeliveryProcess, Handler, HandlerTimeoutError
from alta_common.messaging.topology import RETRY_LADDER, RetryDelay, declare_topology
from alta_common.telemetry.metrics import messages_handled

__all__ = ["Consumer", "ConsumerApp", "Handler", "HandlerTimeoutError"]

log = structlog.get_logger()

_KEEPER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Consumer:
    """A queue, who handles its events, and how many of them at once (`prefetch`).

    `time_limit` must stay below the broker's consumer timeout (30 minutes): past it the handler is cancelled and the
    message tried again later. A handler with more to do than that raises `UnfinishedError` in time.
    """

    queue: str
    handlers: Sequence[Handler[Any]]
    prefetch: int = 10
    time_limit: timedelta = timedelta(minutes=25)


class ConsumerApp:
    """Consumes the queues of one process, and hears its service's `broadcasts`, until it is stopped."""

    def __init__(
        self,
        rabbitmq_url: str,
        service: str,
        consumers: Sequence[Consumer],
        drain_seconds: float,
        *,
        broadcasts: Sequence[Handler[Any]] = (),
        ladder: tuple[RetryDelay, ...] = RETRY_LADDER,
    ) -> None:
        if not ladder:
            raise ValueError("a retry ladder has one rung at least")
        self._url = rabbitmq_url
        self._service = service
        self._consumers = tuple(consumers)
        self._drain_seconds = drain_seconds
        self._ladder = ladder
        self._sender = ConfirmedSender(rabbitmq_url, f"{service} retries")
        self._broadcasts = BroadcastListener(rabbitmq_url, service, broadcasts) if broadcasts else None
        self._broker: RabbitBroker | None = None
        self._running: dict[asyncio.Task[Any], str] = {}
        self._stopping = False
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Wait for the broker, declare the topology, begin to consume."""
        await when_there(self._url, lambda: declare_topology(self._url, self._ladder))
        await when_there(self._url, self._sender.start)
        if self._broadcasts is not None:
            # First: what is said of a message that is being handled must not be missed.
            await self._broadcasts.start()
        await when_there(self._url, self._consume)
        self._keeper = asyncio.create_task(self._keep_topology(), name="topology-keeper")
        log.info("consumers.started", broker=address_of(self._url), queues=[one.queue for one in self._consumers])

    async def stop(self) -> None:
        """Take no more messages, let running handlers finish within the drain time, hand the rest back."""
        self._stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
        if self._broker is not None:
            await self._cancel_subscriptions(self._broker)
            await self._drain()
            # Closing the connection is what gives unacknowledged messages back to their queues.
            await self._broker.stop()
            self._broker = None
        if self._broadcasts is not None:
            await self._broadcasts.stop()
        await self._sender.stop()
        log.info("consumers.stopped")

    async def check(self) -> None:
        """Raise `BrokerUnavailableError` while nothing can be consumed (readiness)."""
        if self._broker is None or not await self._broker.ping(timeout=0.5):
            raise BrokerUnavailableError("the consumers are not connected to the broker")
        if self._broadcasts is not None:
            await self._broadcasts.check()

    async def _keep_topology(self) -> None:
        """Declare everything again while there is no connection.

        A broker that comes back empty would otherwise refuse our return for ever: the client looks up queues that it
        had, and ends the connection when one is missing.
        """
        while True:
            await asyncio.sleep(_KEEPER_SECONDS)
            if self._broker is not None and not await self._broker.ping(timeout=0.1):
                with suppress(*CONNECTION_ERRORS):
                    await declare_topology(self._url, self._ladder)

    async def _consume(self) -> None:
        broker = RabbitBroker(
            named(self._url, f"{self._service} consumers"),
            timeout=10,
            reconnect_interval=RECONNECT_SECONDS,
            graceful_timeout=0,
            apply_types=False,
            logger=None,
        )
        for consumer in self._consumers:
            self._subscribe(broker, consumer)
        try:
            await broker.start()
        except BaseException:
            await broker.stop()
            raise
        self._broker = broker

    def _subscribe(self, broker: RabbitBroker, consumer: Consumer) -> None:
        process = DeliveryProcess(consumer.queue, consumer.handlers, self._sender, self._ladder, consumer.time_limit)
        subscriber = broker.subscriber(
            RabbitQueue(consumer.queue, declare=False),
            channel=Channel(prefetch_count=consumer.prefetch),
            ack_policy=AckPolicy.MANUAL,
            # The body stays as it came: our own reading decides what an unreadable one means.
            decoder=_leave_as_is,
            no_reply=True,
        )

        async def deliver(message: RabbitMessage) -> None:
            await self._deliver(process, consumer.queue, message)

        subscriber(deliver)

    async def _deliver(self, process: DeliveryProcess, queue: str, message: RabbitMessage) -> None:
        if self._stopping:
            return
        task = asyncio.current_task()
        assert task is not None
        self._running[task] = queue
        try:
            await process.run(message.raw_message)
        finally:
            self._running.pop(task, None)

    async def _cancel_subscriptions(self, broker: RabbitBroker) -> None:
        for subscriber in broker.subscribers:
            try:
                async with asyncio.timeout(2):
                    await subscriber.stop()
            except CONNECTION_ERRORS as error:
                log.warning("consumers.not_cancelled", error=repr(error))

    async def _drain(self) -> None:
        running = set(self._running)
        if not running:
            return
        log.info("consumers.draining", running=len(running), seconds=self._drain_seconds)
        _, late = await asyncio.wait(running, timeout=self._drain_seconds)
        for task in late:
            messages_handled.labels(self._running.get(task, "unknown"), "any", "requeued").inc()
            task.cancel()
        if late:
            log.warning("consumers.handed_back", messages=len(late))
            await asyncio.wait(late, timeout=5)


async def _leave_as_is(message: RabbitMessage) -> RabbitMessage:
    return message
