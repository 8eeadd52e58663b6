"""Everything that arrives: a queue beside the system's own, read at the end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar
from uuid import UUID

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError

from alta_common.contracts.projects import EXCHANGE, ProjectCreated
from alta_common.ids import new_id
from alta_common.messaging.topology import EMAIL_QUEUE

_QUEUE = "observed"
T = TypeVar("T")

_PREFETCH = 2000
# As the system's own queues: what was confirmed is on disk, and comes back with the broker.
_ARGUMENTS = {"x-queue-type": "quorum"}


class Observer:
    """The queue outlives its connections and the broker's crashes."""

    def __init__(self, rabbitmq_url: str) -> None:
        self.url = rabbitmq_url

    async def bind(self, routing_key: str = ProjectCreated.ROUTING_KEY) -> None:
        """Hear what is published with this key."""

        async def act(channel: AbstractChannel) -> None:
            queue = await channel.declare_queue(_QUEUE, durable=True, arguments=_ARGUMENTS)
            await queue.bind(EXCHANGE, routing_key)

        await self._over_a_channel(act)

    async def unbind(self) -> None:
        """Let nobody hear the writers' events, not even the system's own queue for them."""

        async def act(channel: AbstractChannel) -> None:
            # Ours last: what is heard by the other one only would be confirmed, and we should miss it.
            for name in (EMAIL_QUEUE, _QUEUE):
                queue = await channel.get_queue(name)
                await queue.unbind(EXCHANGE, ProjectCreated.ROUTING_KEY)

        await self._over_a_channel(act)

    async def count(self) -> int:
        """Return how many messages have arrived, copies included."""

        async def act(channel: AbstractChannel) -> int:
            queue = await channel.declare_queue(_QUEUE, passive=True)
            return int(queue.declaration_result.message_count or 0)

        return await self._over_a_channel(act)

    async def _over_a_channel(self, act: Callable[[AbstractChannel], Awaitable[T]]) -> T:
        """Do what may be done twice: our own connection is cut with the others."""
        while True:
            with suppress(AMQPError, OSError, TimeoutError):
                async with await aio_pika.connect(self.url, timeout=10) as connection:
                    return await act(await connection.channel())
            await asyncio.sleep(0.1)

    async def collect(self) -> list[UUID]:
        """Take the ids of all events that have arrived so far, in the order of their arrival."""
        arrived: list[UUID] = []
        last, complete = str(new_id()), asyncio.Event()

        async def take(message: AbstractIncomingMessage) -> None:
            if complete.is_set():
                return  # Not acknowledged: it goes back, for the next time.
            if message.message_id == last:
                await message.channel.basic_ack(message.delivery_tag, multiple=True)
                complete.set()
                return
            arrived.append(_id_of(message))
            if len(arrived) % (_PREFETCH // 4) == 0:
                await message.channel.basic_ack(message.delivery_tag, multiple=True)

        async with await aio_pika.connect(self.url) as connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=_PREFETCH)
            # The queue is first in, first out: once this has come back, everything before it has.
            await channel.default_exchange.publish(aio_pika.Message(b"", message_id=last), _QUEUE)
            queue = await channel.get_queue(_QUEUE)
            await queue.consume(take)
            async with asyncio.timeout(300):
                await complete.wait()
        return arrived


def _id_of(message: AbstractIncomingMessage) -> UUID:
    """Return the event's id; properties and body of a message must speak of the same event."""
    if message.body.startswith(b"{"):
        assert orjson.loads(message.body)["id"] == message.message_id
    return UUID(message.message_id)
