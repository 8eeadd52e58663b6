import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import aio_pika
import pytest

from alta_common.contracts.event import Event
from alta_common.contracts.projects import DocumentOcrCancelled, DocumentOcrRequested
from alta_common.contracts.registry import EVENTS
from alta_common.errors import UnavailableError
from alta_common.ids import new_id
from alta_common.messaging.broker import CONNECTION_ERRORS, when_there
from alta_common.messaging.consumers import Consumer, ConsumerApp, Handler
from alta_common.messaging.publisher import EventPublisher
from alta_common.messaging.topology import (
    DEAD_LETTER_EXCHANGE,
    QUEUES,
    TopologyConflictError,
    declare_topology,
    is_broadcast,
    queues_for,
    refusals,
)
from alta_common.testing import eventually
from alta_common.testing.servers import local_folder
from alta_stack.infra import wait_for
from alta_stack.rabbitmq import RabbitmqServer

FOLDER = local_folder() / "rabbitmq-to-restart"


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


async def test_a_plugin_that_is_missing_is_named(rabbitmq_url: str) -> None:
    with pytest.raises(TopologyConflictError, match="rabbitmq_consistent_hash_exchange"), refusals("it"):
        async with await aio_pika.connect(rabbitmq_url) as connection:
            # To the broker the kind of exchange that a plugin brings is as unknown without it as any other.
            await (await connection.channel()).declare_exchange("spread", "x-no-such-kind")


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
        queue = await channel.get_queue("ocr_queue")
        deliveries = 0

        async def reject(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            nonlocal deliveries
            deliveries += 1
            await message.reject(requeue=True)

        await queue.consume(reject)
        dead = await channel.get_queue("ocr_queue.dead")
        assert (await eventually(lambda: dead.get(fail=False, no_ack=True))).body == b"poison"
    assert deliveries == 21


async def test_a_delayed_message_comes_back_to_the_queue_that_it_names(channel: aio_pika.abc.AbstractChannel) -> None:
    delay = await channel.get_exchange("retry.5s")
    await delay.publish(aio_pika.Message(b"again"), "email_queue")

    queue = await channel.get_queue("email_queue")
    message = await eventually(lambda: queue.get(fail=False, no_ack=True))

    assert message.body == b"again"
    assert message.routing_key == "email_queue"


@pytest.fixture(scope="module")
def own_broker() -> Iterator[RabbitmqServer]:
    """A broker that a test may kill."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    server = RabbitmqServer(FOLDER, "secret")
    server.launch()
    wait_for(server)
    yield server
    server.kill()
    shutil.rmtree(FOLDER, ignore_errors=True)


@pytest.mark.parametrize("comes_back", ["as it was", "empty"])
async def test_consumers_and_publishers_survive_a_broker_that_is_killed_and_comes_back(
    own_broker: RabbitmqServer, comes_back: str
) -> None:
    handled: set[object] = set()

    async def read(event: DocumentOcrRequested | DocumentOcrCancelled) -> None:
        handled.add(event.event_id)

    publisher = EventPublisher(own_broker.url, "projects", confirm_within=timedelta(seconds=2))
    requests = Consumer("ocr_queue", [Handler(DocumentOcrRequested, read)])
    app = ConsumerApp(own_broker.url, "ocr", [requests], 1, broadcasts=[Handler(DocumentOcrCancelled, read)])
    await publisher.start()
    await app.start()
    before, after = a_request(), a_request()
    await eventually(lambda: publishes(publisher, before))
    await eventually(lambda: before.event_id in handled)

    await asyncio.to_thread(own_broker.kill)
    with pytest.raises(UnavailableError):
        await publisher.publish(after)
    await eventually(lambda: is_unready(app))
    if comes_back == "empty":
        shutil.rmtree(FOLDER / "rabbitmq" / "data")
    # In this thread: the broker ends with the thread that started it.
    own_broker.launch()
    await asyncio.to_thread(wait_for, own_broker)

    await eventually(lambda: publishes(publisher, after))
    await eventually(lambda: after.event_id in handled)
    await eventually(lambda: is_ready(app))
    await app.stop()
    await publisher.stop()


async def is_ready(app: ConsumerApp) -> bool:
    await app.check()
    return True


async def is_unready(app: ConsumerApp) -> bool:
    try:
        await app.check()
    except UnavailableError:
        return True
    return False


async def publishes(publisher: EventPublisher, event: Event) -> bool:
    await publisher.publish(event)
    return True


def a_request() -> DocumentOcrRequested:
    return DocumentOcrRequested(
        document_id=new_id(),
        project_id=new_id(),
        object_key="documents/1",
        content_type="image/png",
        size_bytes=1,
        sha256="0" * 64,
        filename="page.png",
    )
