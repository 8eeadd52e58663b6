"""How many messages and consumers queues have: asked of the queues themselves, by passive declares over AMQP."""

import asyncio
from collections.abc import Iterable

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from alta_common.messaging.broker import named
from alta_outbox_relay.broker.connection import failures_named
from alta_outbox_relay.models.queue import QueueCount

_SECONDS = 20


class QueueCounter:
    """Keeps one connection; a lost one is replaced the next time."""

    def __init__(self, rabbitmq_url: str) -> None:
        self._url = rabbitmq_url
        self._connection: AbstractConnection | None = None
        self._one_at_a_time = asyncio.Lock()

    async def count(self, names: Iterable[str]) -> dict[str, QueueCount | None]:
        """Return the numbers of each queue as of now; None for one that does not exist.

        Raises `BrokerUnavailableError`.
        """
        async with self._one_at_a_time:
            try:
                with failures_named(self._url):
                    async with asyncio.timeout(_SECONDS):
                        return await self._count(names)
            except BaseException:
                await self._disconnect()
                raise

    async def aclose(self) -> None:
        """Close the connection."""
        async with self._one_at_a_time:
            await self._disconnect()

    async def _count(self, names: Iterable[str]) -> dict[str, QueueCount | None]:
        if self._connection is None or self._connection.is_closed:
            self._connection = await aio_pika.connect(named(self._url, "outbox-admin queues"), timeout=_SECONDS)
        counted: dict[str, QueueCount | None] = {}
        channel = await self._connection.channel()
        for name in names:
            counted[name] = await _count_one(channel, name)
            if channel.is_closed:
                channel = await self._connection.channel()
        await channel.close()
        return counted

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


async def _count_one(channel: AbstractChannel, name: str) -> QueueCount | None:
    """Ask one queue. The broker closes the channel when there is no such queue."""
    try:
        queue = await channel.declare_queue(name, passive=True)
    except ChannelNotFoundEntity:
        return None
    said = queue.declaration_result
    return QueueCount(said.message_count or 0, said.consumer_count or 0)
