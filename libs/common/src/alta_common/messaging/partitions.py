"""The queues of an ordered consumer.

Its events go through the exchange `<queue>.ordered` into the queue `<queue>.line`. From there the consumer deals them
out, by the hash of their aggregate's id (`cloudEvents:partitionkey`), to the queues `<queue>.p0`, `<queue>.p1`… Each of
these queues has one active consumer at a time. `<queue>` itself stays, for what is sent to it by name: replayed dead
letters, and what lay there before.

Not the broker's own exchange for this (`x-consistent-hash`): at each start of the broker it makes its ring anew, in
another order, and an aggregate whose events lie in one partition gets its next ones in another (54 of 60 did).

Whether a queue is ordered is its consumer's decision, and stands in the broker: everybody else who declares the
topology finds the exchange, and leaves the queue's bindings alone.
"""

import zlib
from collections.abc import Mapping
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractQueue
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

_KEY = "cloudEvents:partitionkey"


def line_of(queue: str) -> str:
    """Return the name of the queue in which events stand in line for their partition."""
    return f"{queue}.line"


def partition_of(queue: str, number: int) -> str:
    """Return the name of a partition's queue."""
    return f"{queue}.p{number}"


def number_for(headers: Mapping[str, Any], partitions: int) -> int:
    """Return the number of the partition of a message, the same for all of an aggregate; 0 where it names none."""
    return zlib.crc32(str(headers.get(_KEY, "")).encode()) % partitions if _KEY in headers else 0


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
            exchange = await channel.declare_exchange(
                ordered_exchange_of(queue), aio_pika.ExchangeType.FANOUT, durable=True
            )
            for number in range(partitions):
                await _declare(channel, queue, partition_of(queue, number))
            line = await _declare(channel, queue, line_of(queue))
            await line.bind(exchange)
            await _lead_events(channel, exchange, queue, to_partitions=partitions > 0)
            surplus = await _surplus(connection, queue, partitions)
            return surplus if partitions else [line_of(queue), *surplus]


async def _declare(channel: AbstractChannel, queue: str, name: str) -> AbstractQueue:
    arguments: dict[str, Any] = {**work_arguments(queue), "x-single-active-consumer": True}
    return await channel.declare_queue(name, durable=True, arguments=arguments)


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


async def _surplus(connection: AbstractConnection, queue: str, partitions: int) -> list[str]:
    """Return the names of the partitions from `partitions` on that are there."""
    surplus: list[str] = []
    while True:
        channel = await connection.channel()
        name = partition_of(queue, partitions + len(surplus))
        try:
            await channel.declare_queue(name, passive=True)
        except ChannelNotFoundEntity:
            return surplus
        surplus.append(name)
        await channel.close()
