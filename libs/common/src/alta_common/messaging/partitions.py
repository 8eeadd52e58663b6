"""The queues of an ordered consumer.

Its events go through the exchange `<queue>.ordered`, which spreads them by the hash of their aggregate's id
(`cloudEvents:partitionkey`) over the queues `<queue>.p0`, `<queue>.p1`… Each has one active consumer at a time.
`<queue>` itself stays, for what is sent to it by name: replayed dead letters, and what lay there before.

Whether a queue is ordered is its consumer's decision, and stands in the broker: everybody else who declares the
topology finds the exchange, and leaves the queue's bindings alone.
"""

from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import ChannelNotFoundEntity

from alta_common.messaging.queues import ORDERED_MARK
from alta_common.messaging.topology import (
    QUEUES,
    exchange_of,
    is_ordered,
    ordered_exchange_of,
    refusals,
    work_arguments,
)

HASH_HEADER = "cloudEvents:partitionkey"


def partition_of(queue: str, number: int) -> str:
    """Return the name of a partition's queue."""
    return f"{queue}.p{number}"


async def declare_partitions(rabbitmq_url: str, queue: str, partitions: int) -> list[str]:
    """Spread a queue over its partitions; with none, make it an ordinary queue again. Safe to do again.

    Returns queues of earlier partitions that get no more events, and from which their messages are to be moved.
    Events that come meanwhile may go both ways, and none goes neither way.
    """
    with refusals(f"the partitions of {queue}"):
        connection = await aio_pika.connect(rabbitmq_url, timeout=10)
        async with connection:
            if not partitions and not await is_ordered(connection, queue):
                return []
            channel = await connection.channel()
            await channel.declare_exchange(ORDERED_MARK, aio_pika.ExchangeType.FANOUT, durable=True)
            exchange = await _declare_exchange(channel, queue)
            for number in range(partitions):
                await _declare_partition(channel, exchange, queue, number)
            await _lead_events(channel, exchange, queue, to_partitions=partitions > 0)
            return await _retire(connection, exchange, queue, partitions)


async def _declare_exchange(channel: AbstractChannel, queue: str) -> AbstractExchange:
    return await channel.declare_exchange(
        ordered_exchange_of(queue),
        aio_pika.ExchangeType.X_CONSISTENT_HASH,
        durable=True,
        arguments={"hash-header": HASH_HEADER},
    )


async def _declare_partition(channel: AbstractChannel, exchange: AbstractExchange, queue: str, number: int) -> None:
    arguments: dict[str, Any] = {**work_arguments(queue), "x-single-active-consumer": True}
    partition = await channel.declare_queue(partition_of(queue, number), durable=True, arguments=arguments)
    # For this kind of exchange the key of a binding is its weight.
    await partition.bind(exchange, routing_key="1")


async def _lead_events(
    channel: AbstractChannel, exchange: AbstractExchange, queue: str, *, to_partitions: bool
) -> None:
    plain = await channel.get_queue(queue, ensure=False)
    for binding in QUEUES[queue]:
        source = await channel.get_exchange(exchange_of(binding), ensure=False)
        # The new way first: an event may go both ways for a moment, which the inbox minds; never neither way.
        if to_partitions:
            await exchange.bind(source, binding)
            await plain.unbind(source, binding)
        else:
            await plain.bind(source, binding)
            await exchange.unbind(source, binding)


async def _retire(connection: AbstractConnection, exchange: AbstractExchange, queue: str, partitions: int) -> list[str]:
    """Take the partitions from `partitions` on out of use, and return their names."""
    retired: list[str] = []
    while True:
        channel = await connection.channel()
        try:
            name = partition_of(queue, partitions + len(retired))
            surplus = await channel.declare_queue(name, passive=True)
        except ChannelNotFoundEntity:
            return retired
        await surplus.unbind(exchange, routing_key="1")
        retired.append(name)
        await channel.close()
