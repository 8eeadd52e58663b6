"""Consuming queues over one connection that comes back by itself, each queue on a channel of its own.

On aio-pika itself and not on FastStream: of that nothing is left that we could use. What it would do by itself
(measured with 0.7.8): prefetch is unlimited unless a subscriber brings a channel; requeueing on error handles a
poisoned message thousands of times a second; its telemetry middleware overwrites the trace that a message carries; and
its own way to a handler costs as much as our tracing, metrics and logs together (docs/benchmarks.md).
"""

import asyncio
from collections.abc import Awaitable, Callable

import aio_pika
import structlog
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue, AbstractRobustConnection

from alta_common.messaging.broker import CONNECTION_ERRORS, RECONNECT_SECONDS, named

log = structlog.get_logger()

Deliver = Callable[[AbstractIncomingMessage], Awaitable[None]]

_CANCEL_SECONDS = 2.0


class Subscriptions:
    """What one process consumes."""

    def __init__(self, connection: AbstractRobustConnection) -> None:
        self._connection = connection
        self._consuming: list[tuple[AbstractQueue, str]] = []

    @classmethod
    async def connect(cls, rabbitmq_url: str, name: str) -> "Subscriptions":
        """Return an open connection that consumes nothing yet. Raises what connecting raises."""
        return cls(
            await aio_pika.connect_robust(named(rabbitmq_url, name), timeout=10, reconnect_interval=RECONNECT_SECONDS)
        )

    async def add(self, queue: str, prefetch: int, deliver: Deliver) -> None:
        """Consume a queue, which must exist. `deliver` runs for up to `prefetch` messages at once and acknowledges."""
        channel = await self._connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=prefetch)
        # Looked up and not declared: what it is like is the topology's business.
        found = await channel.get_queue(queue)
        self._consuming.append((found, await found.consume(deliver)))

    @property
    def is_connected(self) -> bool:
        """Say whether the broker is there."""
        return self._connection.connected.is_set() and not self._connection.is_closed

    async def cancel(self) -> None:
        """Take no more messages; those taken may still be acknowledged."""
        for queue, tag in self._consuming:
            try:
                async with asyncio.timeout(_CANCEL_SECONDS):
                    await queue.cancel(tag)
            except CONNECTION_ERRORS as error:
                log.warning("consumers.not_cancelled", queue=queue.name, error=repr(error))
        self._consuming.clear()

    async def close(self) -> None:
        """Close the connection; that is what gives unacknowledged messages back to their queues."""
        await self._connection.close()
