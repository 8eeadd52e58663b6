"""A message that ends every process which takes it, and those that were taken together with it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import aio_pika
import pytest

from alta_common.contracts.event import Event
from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.messaging.broker import ConfirmedSender
from alta_common.messaging.delivery import DeliveryProcess, Handler
from alta_common.messaging.handover import Handover
from alta_common.messaging.publisher import EventPublisher
from alta_common.messaging.suspects import Suspects
from alta_common.messaging.topology import RETRY_LADDER
from alta_common.testing import eventually

QUEUE = "ocr_queue"
DELIVERIES = 21


@pytest.fixture
async def sender(rabbitmq_url: str) -> AsyncIterator[ConfirmedSender]:
    sender = ConfirmedSender(rabbitmq_url, "tests")
    await sender.start()
    yield sender
    await sender.stop()


async def test_a_message_that_ends_process_after_process_dies_alone(
    rabbitmq_url: str, sender: ConfirmedSender, publisher: EventPublisher, depth: Any, dead_letter: Any, a_request: Any
) -> None:
    poison, others = a_request(), [a_request() for _ in range(8)]
    for event in (*others[:4], poison, *others[4:]):
        await publisher.publish(event)
    handled: set[UUID] = set()

    for _ in range(DELIVERIES):
        await live_until_poisoned(rabbitmq_url, sender, poison, handled)

    assert (await dead_letter()).message_id == str(poison.event_id)
    assert await depth(f"{QUEUE}.dead") == 0
    assert handled == {event.event_id for event in others}


async def live_until_poisoned(
    rabbitmq_url: str, sender: ConfirmedSender, poison: DocumentOcrRequested, handled: set[UUID]
) -> None:
    """Be a process that handles several messages at once, and is gone once it has begun with a certain one."""
    gone = asyncio.Event()

    async def read(event: Event) -> None:
        if event.event_id == poison.event_id:
            gone.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0.02)
        handled.add(event.event_id)

    process = DeliveryProcess(
        QUEUE,
        [Handler(DocumentOcrRequested, read)],
        Handover(QUEUE, sender),
        RETRY_LADDER,
        time_limit=timedelta(minutes=1),
        suspects=Suspects(),
    )
    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        await channel.set_qos(10)
        await (await channel.get_queue(QUEUE)).consume(process.run)
        await eventually(gone.is_set)
