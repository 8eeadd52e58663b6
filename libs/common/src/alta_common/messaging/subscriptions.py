"""Consuming queues with FastStream, each on a channel of its own, over one connection that comes back by itself.

What FastStream would do differently by itself, and why it may not (measured with 0.7.8): prefetch is unlimited unless a
subscriber brings a channel of its own; a queue declared on the broker before start loses that channel; requeueing on
error handles a poisoned message thousands of times a second; its telemetry middleware overwrites the trace that a
message carries. So: one channel a queue, queues declared beforehand and only looked up here, acknowledgements by
hand, no middleware, bodies left as they come.
"""

import asyncio
from collections.abc import Awaitable, Callable

import aiormq
import structlog
from aio_pika import RobustChannel
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustConnection
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from faststream.rabbit.message import RabbitMessage
from faststream.rabbit.subscriber.usecase import RabbitSubscriber

from alta_common.messaging.broker import RECONNECT_SECONDS, close, named

log = structlog.get_logger()

Deliver = Callable[[AbstractIncomingMessage], Awaitable[None]]

_CANCEL_SECONDS = 2.0
_OPEN_SECONDS = 10.0


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
        self._connection: AbstractRobustConnection | None = None
        self._queues: list[RabbitQueue] = []
        self._channels: dict[str, RobustChannel] = {}
        self._in_order: set[RabbitSubscriber] = set()
        self._cancelling: list[asyncio.Task[None]] = []

    def add(self, queue: str, prefetch: int, deliver: Deliver, *, in_order: bool = False) -> None:
        """Consume a queue from the start on. `deliver` runs for up to `prefetch` messages at once, and acknowledges.

        What is consumed `in_order` is held until `close` and never cancelled: a cancelled consumer keeps what it has
        taken, and the next one would be given what comes after that.
        """

        async def take(message: RabbitMessage) -> None:
            await deliver(message.raw_message)

        # Looked up and not declared: what it is like is the topology's business.
        looked_up = RabbitQueue(queue, declare=False)
        subscriber = self._broker.subscriber(
            looked_up,
            channel=Channel(prefetch_count=prefetch),
            ack_policy=AckPolicy.MANUAL,
            # The body stays as it came: our own reading decides what an unreadable one means.
            decoder=_leave_as_is,
            no_reply=True,
        )
        subscriber(take)
        self._queues.append(looked_up)
        if in_order:
            self._in_order.add(subscriber)

    async def start(self) -> None:
        """Connect, and consume. Raises what connecting raises, and when a queue is missing."""
        self._connection = await self._broker.connect()
        await self._broker.start()
        for queue in self._queues:
            # Known by now, and only looked up.
            channel = (await self._broker.declare_queue(queue)).channel
            assert isinstance(channel, RobustChannel)
            self._channels[queue.name] = channel

    async def is_connected(self, within_seconds: float) -> bool:
        """Say whether the broker is there."""
        return await self._broker.ping(timeout=within_seconds)

    @property
    def ended(self) -> list[str]:
        """Return the queues that are not consumed at the moment.

        Their channel has ended, or the broker has cancelled their consumer, as it does where a queue is deleted.
        """
        return [queue for queue, channel in self._channels.items() if channel.is_closed or not _consumes(channel)]

    async def restore(self) -> None:
        """Open the channels that have ended, and consume their queues again.

        A channel that the broker closes is opened again by the client library, once: when that fails (the queue is
        missing at that moment, a leader is being elected) its queue would not be consumed any more, on a connection
        that lives. Raises what opening one raises.

        On a channel that is open the client library consumes again by itself, as soon as the queue is there.
        """
        for channel in self._channels.values():
            if channel.is_closed:
                async with asyncio.timeout(_OPEN_SECONDS):
                    await channel.restore()

    async def cancel(self) -> None:
        """Ask for no more messages; those taken may still be acknowledged. Returns after two seconds at the latest.

        Not where order is kept: there `deliver` leaves what comes until `close` gives it back, in its order.

        What the broker has not answered by then is left waiting until `close`: the client library closes the channel
        of a request that is given up, and everything that is being handled on it would end at once.
        """
        cancelled = [one for one in self._broker.subscribers if one not in self._in_order]
        self._cancelling = [asyncio.create_task(one.stop()) for one in cancelled]
        if not self._cancelling:
            return
        done, late = await asyncio.wait(self._cancelling, timeout=_CANCEL_SECONDS)
        failed = [one for one in done if one.cancelled() or one.exception() is not None]
        if failed or late:
            log.warning("consumers.not_cancelled", failed=len(failed), late=len(late))

    async def close(self) -> None:
        """Close the connection; that is what gives unacknowledged messages back to their queues."""
        for task in self._cancelling:
            task.cancel()
        # Not through FastStream, which would ask for each consumer's end again first, and for as long as it takes.
        if self._connection is not None:
            await close(self._connection)
            self._connection = None


def _consumes(channel: RobustChannel) -> bool:
    opened = channel._channel  # noqa: SLF001 - what is public waits for a connection
    return opened is not None and isinstance(opened.channel, aiormq.Channel) and bool(opened.channel.consumers)


async def _leave_as_is(message: RabbitMessage) -> RabbitMessage:
    return message
