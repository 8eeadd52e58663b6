import asyncio
from collections.abc import AsyncIterator

import aio_pika
import pytest

from alta_common.contracts.registry import EVENTS
from alta_common.messaging.broker import CONNECTION_ERRORS, when_there
from alta_common.messaging.topology import (
    DEAD_LETTER_EXCHANGE,
    QUEUES,
    TopologyConflictError,
    declare_topology,
    is_broadcast,
    queues_for,
)
from alta_common.testing import eventually


@pytest.fixture
async def channel(rabbitmq_url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    await declare_topology(rabbitmq_url)
    async with await aio_pika.connect(rabbitmq_url) as connection:
        yield await connection.channel(on_return_raises=True)


async def test_declaring_again_and_at_once_does_no_harm(rabbitmq_url: str) -> None:
    await asyncio.gather(*(declare_topology(rabbitmq_url) for _ in range(3)))
    await declare_topology(rabbitmq_url)


async def test_every_event_that_queues_hear_arrives_in_them(channel: aio_pika.abc.AbstractChannel) -> None:
    for event in EVENTS:
        if is_broadcast(event.ROUTING_KEY):
            continue
        exchange = await channel.get_exchange(event.EXCHANGE)
        await exchange.publish(aio_pika.Message(b"", headers={"key": event.ROUTING_KEY}), event.ROUTING_KEY)

    for name in QUEUES:
        queue = await channel.get_queue(name)
        heard = {event.ROUTING_KEY for event in EVENTS if name in queues_for(event.ROUTING_KEY)}
        got = set()
        for _ in heard:
            message = await eventually(lambda queue=queue: queue.get(fail=False, no_ack=True))
            got.add(message.headers["key"])
        assert got == heard


async def test_a_queue_of_another_kind_is_left_alone_and_the_way_out_is_named(rabbitmq_url: str) -> None:
    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("email_queue", durable=True, arguments={"x-queue-type": "classic"})
        with pytest.raises(TopologyConflictError, match=r"migrating a queue.*email_queue") as refused:
            await declare_topology(rabbitmq_url)
        assert isinstance(refused.value, CONNECTION_ERRORS)  # who waits for the broker waits for its migration

        waiting = asyncio.create_task(when_there(rabbitmq_url, lambda: declare_topology(rabbitmq_url)))
        await (await connection.channel()).queue_delete("email_queue")
        await waiting


async def test_a_rejected_message_is_dead_in_its_own_dead_queue(channel: aio_pika.abc.AbstractChannel) -> None:
    for name in QUEUES:
        await channel.default_exchange.publish(aio_pika.Message(name.encode()), name)
        queue = await channel.get_queue(name)
        message = await eventually(lambda queue=queue: queue.get(fail=False))
        await message.reject(requeue=False)

        dead = await channel.get_queue(f"{name}.dead")
        buried = await eventually(lambda dead=dead: dead.get(fail=False, no_ack=True))
        assert buried.body == name.encode()
        assert buried.exchange == DEAD_LETTER_EXCHANGE


async def test_a_message_that_kills_its_consumer_again_and_again_is_dead_in_the_end(rabbitmq_url: str) -> None:
    await declare_topology(rabbitmq_url)
    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        await channel.default_exchange.publish(aio_pika.Message(b"poison"), "ocr_queue")
        dead = await channel.get_queue("ocr_queue.dead")
        deliveries = 0
        while (buried := await dead.get(fail=False, no_ack=True)) is None:
            deliveries += await dies_of_a_message(rabbitmq_url, "ocr_queue")

    assert buried.body == b"poison"
    assert deliveries == 21


async def dies_of_a_message(rabbitmq_url: str, name: str) -> bool:
    """Be a process that is gone as soon as it has a message; say whether it got one."""
    async with await aio_pika.connect(rabbitmq_url) as connection:
        queue = await (await connection.channel()).get_queue(name)
        return await queue.get(fail=False) is not None


async def test_a_delayed_message_comes_back_to_the_queue_that_it_names(channel: aio_pika.abc.AbstractChannel) -> None:
    delay = await channel.get_exchange("retry.5s")
    await delay.publish(aio_pika.Message(b"again"), "email_queue")

    queue = await channel.get_queue("email_queue")
    message = await eventually(lambda: queue.get(fail=False, no_ack=True))

    assert message.body == b"again"
    assert message.routing_key == "email_queue"
