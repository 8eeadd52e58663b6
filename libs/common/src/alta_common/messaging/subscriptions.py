"""Consuming queues with FastStream, each on a channel of its own, over one connection that comes back by itself.

What FastStream would do differently by itself, and why it may not (measured with 0.7.8): prefetch is unlimited unless a
subscriber brings a channel of its own; a queue declared on the broker before start loses that channel; requeueing on
error handles a poisoned message thousands of times a second; its telemetry middleware overwrites the trace that a
message carries. So: one channel a queue, queues declared beforehand and only looked up here, acknowledgements by
hand, no middleware, bodies left as they come.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aio_pika.abc import AbstractIncomingMessage
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from faststream.rabbit.message import RabbitMessage

from alta_common.messaging.broker import CONNECTION_ERRORS, RECONNECT_SECONDS, named

log = structlog.get_logger()

Deliver = Callable[[AbstractIncomingMessage], Awaitable[None]]

_CANCEL_SECONDS = 2.0


class Subscriptions:
    """What one process consumes."""

    def __init__(self, rabbitmq_url: str, name: str) -> None:
        self._broker = RabbitBroker(
            named(rabbitmq_url, name),
            timeout=10,
            reconnect_interval=RECONNECT_SECONDS,
            graceful_timeout=0,
            apply_types=False,
            logger=None,
        )

    def add(self, queue: str, prefetch: int, deliver: Deliver) -> None:
        """Consume a queue from the start on. `deliver` runs for up to `prefetch` messages at once, and acknowledges."""

        async def take(message: RabbitMessage) -> None:
            await deliver(message.raw_message)

        subscriber = self._broker.subscriber(
            # Looked up and not declared: what it is like is the topology's business.
            RabbitQueue(queue, declare=False),
            channel=Channel(prefetch_count=prefetch),
            ack_policy=AckPolicy.MANUAL,
            # The body stays as it came: our own reading decides what an unreadable one means.
            decoder=_leave_as_is,
            no_reply=True,
        )
        subscriber(take)

    async def start(self) -> None:
        """Connect, and consume. Raises what connecting raises, and when a queue is missing."""
        await self._broker.start()

    async def is_connected(self, within_seconds: float) -> bool:
        """Say whether the broker is there."""
        return await self._broker.ping(timeout=within_seconds)

    async def cancel(self) -> None:
        """Take no more messages; those taken may still be acknowledged."""
        for subscriber in self._broker.subscribers:
            try:
                async with asyncio.timeout(_CANCEL_SECONDS):
                    await subscriber.stop()
            except CONNECTION_ERRORS as error:
                log.warning("consumers.not_cancelled", error=repr(error))

    async def close(self) -> None:
        """Close the connection; that is what gives unacknowledged messages back to their queues."""
        await self._broker.stop()


async def _leave_as_is(message: RabbitMessage) -> RabbitMessage:
    return message
