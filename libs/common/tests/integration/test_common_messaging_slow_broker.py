"""A broker that answers late, or falls silent, while a process stops or starts."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from alta_common.contracts.projects import DocumentOcrCancelled, DocumentOcrRequested
from alta_common.messaging.broadcasts import BroadcastListener
from alta_common.messaging.consumers import Consumer, ConsumerApp, Handler, Ordered
from alta_common.messaging.publisher import EventPublisher
from alta_common.messaging.topology import declare_topology
from alta_common.testing import eventually
from alta_common.testing.proxy import CANCEL_OK, DECLARE_OK, BrokerProxy, proxied

QUEUE = "ocr_queue"
DRAIN_SECONDS = 20


@pytest.fixture
async def proxy(rabbitmq_url: str) -> AsyncIterator[BrokerProxy]:
    async with proxied(rabbitmq_url) as proxy:
        yield proxy


def an_app(proxy: BrokerProxy, reader: Any, ordered: Ordered | None = None) -> ConsumerApp:
    handlers = [Handler(DocumentOcrRequested, reader.read)]
    consumer = Consumer(QUEUE, handlers, prefetch=1, time_limit=Ordered.TIME_LIMIT, ordered=ordered)
    return ConsumerApp(proxy.url, "ocr", [consumer], DRAIN_SECONDS)


async def test_what_runs_may_finish_although_the_broker_is_slow_to_end_the_subscription(
    proxy: BrokerProxy, reader: Any, publisher: EventPublisher, depth: Any, a_request: Any
) -> None:
    reader.gate.clear()
    app = an_app(proxy, reader)
    await app.start()
    await publisher.publish(a_request())
    await eventually(lambda: reader.busy == 1)
    proxy.hold_back(CANCEL_OK, 4)

    stopping = asyncio.create_task(app.stop())
    await eventually(lambda: proxy.held == 1)
    await asyncio.sleep(3)  # longer than the answer is waited for
    assert reader.busy == 1
    reader.gate.set()
    await stopping

    assert len(reader.finished) == 1
    assert await depth(QUEUE) == 0


async def test_a_stop_ends_in_time_when_the_broker_says_nothing_more(
    proxy: BrokerProxy, reader: Any, publisher: EventPublisher, depth: Any, a_request: Any
) -> None:
    reader.gate.clear()
    app = an_app(proxy, reader)
    await app.start()
    await publisher.publish(a_request())
    await eventually(lambda: reader.busy == 1)
    proxy.fall_silent()
    reader.gate.set()

    async with asyncio.timeout(DRAIN_SECONDS):
        await app.stop()

    assert len(reader.finished) == 1
    assert app._subscriptions is None
    await eventually(lambda: is_empty(depth))


async def test_only_what_keeps_no_order_is_cancelled_before_the_end(
    proxy: BrokerProxy, reader: Any, publisher: EventPublisher
) -> None:
    app = an_app(proxy, reader, Ordered(30))
    await app.start()
    proxy.hold_back(CANCEL_OK, None)

    async with asyncio.timeout(DRAIN_SECONDS):
        await app.stop()

    # The queue that moves messages to the thirty partitions; those are given back with the connection.
    assert proxy.held == 1


async def test_who_listens_goes_on_when_the_broker_falls_silent_in_the_middle_of_an_answer(
    rabbitmq_url: str, proxy: BrokerProxy, reader: Any
) -> None:
    await declare_topology(rabbitmq_url)
    # Without a sign of life for six seconds the client library gives a connection up, and cancels who waits on it.
    listener = BroadcastListener(f"{proxy.url}?heartbeat=1", "ocr", [Handler(DocumentOcrCancelled, reader.read)])
    proxy.hold_back(DECLARE_OK, None)
    starting = asyncio.create_task(listener.start())
    await eventually(lambda: proxy.held)

    proxy.fall_silent()
    proxy.let_through(DECLARE_OK)

    async with asyncio.timeout(30):
        await starting
    await listener.check()
    await listener.stop()


async def is_empty(depth: Any) -> bool:
    return bool(await depth(QUEUE) == 0)
