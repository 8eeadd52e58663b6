"""Consumers and publishers that are stopped, and that lose their broker or have none yet."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aio_pika import RobustChannel
from aio_pika.abc import AbstractChannel, AbstractConnection

from alta_common.contracts.event import Event
from alta_common.errors import UnavailableError
from alta_common.messaging.consumers import ConsumerApp
from alta_common.messaging.publisher import EventPublisher
from alta_common.testing import eventually

QUEUE = "ocr_queue"


@pytest.fixture
def fails_to_open(monkeypatch: pytest.MonkeyPatch) -> Callable[[RobustChannel], Awaitable[None]]:
    """Has the broker close a channel, and not answer when the client opens it again, which it does once."""

    async def end(channel: RobustChannel) -> None:
        failed, opening = asyncio.Event(), RobustChannel._on_open

        async def fail_once(self: RobustChannel) -> None:
            if self is channel and not failed.is_set():
                failed.set()
                raise TimeoutError("no answer")
            await opening(self)

        monkeypatch.setattr(RobustChannel, "_on_open", fail_once)
        await (await channel.get_underlay_channel()).basic_ack(4711)
        await failed.wait()
        while not channel.is_closed:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)

    return end


async def test_a_stop_waits_for_what_runs(
    consuming: Any, reader: Any, publisher: EventPublisher, depth: Any, a_request: Any
) -> None:
    reader.gate.clear()
    async with consuming(prefetch=1) as app:
        await publisher.publish(a_request())
        await publisher.publish(a_request())
        await eventually(lambda: reader.busy == 1)
        stopping = asyncio.create_task(app.stop())
        await eventually(app._stopping.is_set)
        reader.gate.set()
        await stopping

    assert len(reader.finished) == 1
    assert await depth(QUEUE) == 1  # the second was not taken


async def test_what_does_not_finish_in_time_is_handed_back(
    consuming: Any, reader: Any, publisher: EventPublisher, depth: Any, a_request: Any
) -> None:
    reader.gate.clear()
    event = a_request()
    async with consuming(drain_seconds=0.1) as app:
        await publisher.publish(event)
        await eventually(lambda: reader.busy == 1)
        await app.stop()

    async def is_back() -> bool:
        return await depth(QUEUE) == 1

    await eventually(is_back)
    reader.gate.set()
    async with consuming():
        await eventually(lambda: reader.finished)
    assert reader.finished[0].event_id == event.event_id


async def test_lost_connections_are_made_again_and_nothing_is_lost(
    consuming: Any, reader: Any, publisher: EventPublisher, close_broker_connections: Any, a_request: Any
) -> None:
    reader.gate.clear()
    first, second = a_request(), a_request()
    async with consuming() as app:
        await publisher.publish(first)
        await eventually(lambda: reader.busy == 1)

        async def closed() -> bool:
            return await close_broker_connections() >= 3

        await eventually(closed)
        reader.gate.set()
        await eventually(lambda: _published(publisher, second))
        await eventually(lambda: len({one.event_id for one in reader.finished}) == 2)
        await eventually(lambda: is_ready(app))

    assert {one.event_id for one in reader.finished} == {first.event_id, second.event_id}


async def test_a_channel_that_the_broker_closes_is_opened_again_and_nothing_is_lost(
    consuming: Any, reader: Any, publisher: EventPublisher, depth: Any, a_request: Any
) -> None:
    reader.gate.clear()
    held, later = a_request(), a_request()
    async with consuming(prefetch=1) as app:
        await publisher.publish(held)
        await eventually(lambda: reader.busy == 1)
        (subscriber,) = app._subscriptions._broker.subscribers
        channel = await subscriber._queue_obj.channel.get_underlay_channel()
        # What the broker says to this is what it says to a message held for longer than its consumer timeout.
        await channel.basic_ack(4711)
        await eventually(lambda: channel.is_closed)
        reader.gate.set()
        await publisher.publish(later)
        await eventually(lambda: {one.event_id for one in reader.finished} == {held.event_id, later.event_id})

        async def is_empty() -> bool:
            return await depth(QUEUE) == 0

        await eventually(is_empty)


async def test_a_queue_whose_channel_cannot_be_opened_again_at_once_is_consumed_all_the_same(
    consuming: Any, reader: Any, publisher: EventPublisher, a_request: Any, fails_to_open: Any
) -> None:
    async with consuming() as app:
        (subscriber,) = app._subscriptions._broker.subscribers
        await fails_to_open(subscriber._queue_obj.channel)

        with pytest.raises(UnavailableError, match=QUEUE):
            await app.check()
        await eventually(lambda: is_ready(app))
        await publisher.publish(a_request())
        await eventually(lambda: reader.finished)


async def test_a_publisher_whose_channel_cannot_be_opened_again_at_once_opens_it_for_the_next_event(
    consuming: Any, publisher: EventPublisher, a_request: Any, fails_to_open: Any
) -> None:
    async with consuming():
        await fails_to_open(publisher._sender._channel)

        await publisher.publish(a_request())


async def test_a_queue_that_somebody_deletes_is_declared_and_consumed_again(
    consuming: Any, reader: Any, publisher: EventPublisher, channel: AbstractChannel, a_request: Any
) -> None:
    async with consuming() as app:
        (subscriber,) = app._subscriptions._broker.subscribers
        consumed = await subscriber._queue_obj.channel.get_underlay_channel()
        cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        consumed.on_consumer_cancel_callbacks.add(lambda _: cancelled.set_result(None))
        await channel.queue_delete(QUEUE)
        await cancelled

        with pytest.raises(UnavailableError, match=QUEUE):
            await app.check()
        await eventually(lambda: is_ready(app))
        await publisher.publish(a_request())
        await eventually(lambda: reader.finished)


async def test_a_connection_that_is_of_no_use_is_closed_before_there_is_another(
    rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    useless, opening = list[AbstractConnection](), RobustChannel._on_open

    async def fail_once(self: RobustChannel) -> None:
        if not useless:
            useless.append(self._connection)
            raise ConnectionError("lost at that very moment")
        await opening(self)

    monkeypatch.setattr(RobustChannel, "_on_open", fail_once)
    publisher = EventPublisher(rabbitmq_url, "projects")
    await publisher.start()

    assert useless[0].is_closed
    await publisher.check()
    await publisher.stop()


async def is_ready(app: ConsumerApp) -> bool:
    await app.check()
    return True


async def _published(publisher: EventPublisher, event: Event) -> bool:
    await publisher.publish(event)
    return True


async def test_consumers_and_publishers_wait_for_a_broker_that_is_not_there_yet() -> None:
    nowhere = "amqp://guest:guest@127.0.0.1:9/"
    app = ConsumerApp(nowhere, "ocr", [], 1)
    publisher = EventPublisher(nowhere, "ocr")
    starting = [asyncio.create_task(app.start()), asyncio.create_task(publisher.start())]

    done, _ = await asyncio.wait(starting, timeout=1)

    assert not done
    for check in (app.check, publisher.check):
        with pytest.raises(UnavailableError):
            await check()
    for task in starting:
        task.cancel()
    await asyncio.gather(*starting, return_exceptions=True)
    await app.stop()
