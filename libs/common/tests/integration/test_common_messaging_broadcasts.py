"""What is broadcast reaches every process that listens, and troubles nobody else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

import aio_pika
import pytest

from alta_common.contracts.projects import DocumentOcrCancelled, ProjectCreated
from alta_common.errors import UnavailableError
from alta_common.ids import new_id
from alta_common.messaging.broadcasts import BroadcastListener
from alta_common.messaging.delivery import Handler
from alta_common.messaging.topology import BROADCASTS, declare_topology
from alta_common.telemetry.context import correlation_id
from alta_common.testing import eventually
from alta_common.testing.messages import publish

LONG = timedelta(seconds=60)
[CANCELLED] = BROADCASTS["ocr"]


class Process:
    """A process of ocr that remembers what it hears, and fails on what it is told to."""

    def __init__(self, rabbitmq_url: str) -> None:
        self.heard: list[UUID] = []
        self.correlations: list[str | None] = []
        self.refuses: UUID | None = None
        self.listener = BroadcastListener(rabbitmq_url, "ocr", [Handler(DocumentOcrCancelled, self.hear)])

    async def hear(self, event: DocumentOcrCancelled) -> None:
        if event.event_id == self.refuses:
            raise RuntimeError("not this one")
        self.heard.append(event.event_id)
        self.correlations.append(correlation_id())


@pytest.fixture
async def processes(rabbitmq_url: str) -> AsyncIterator[tuple[Process, Process]]:
    """Two processes that listen."""
    await declare_topology(rabbitmq_url)
    both = Process(rabbitmq_url), Process(rabbitmq_url)
    async with AsyncExitStack() as stack:
        for process in both:
            await process.listener.start()
            stack.push_async_callback(process.listener.stop)
        yield both


@pytest.fixture
async def channel(rabbitmq_url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    async with await aio_pika.connect(rabbitmq_url) as connection:
        yield await connection.channel(on_return_raises=True)


def a_cancellation() -> DocumentOcrCancelled:
    return DocumentOcrCancelled(document_id=new_id(), project_id=new_id(), attempt=1, reason="cancelled")


async def test_every_process_hears_a_broadcast_once(rabbitmq_url: str, processes: tuple[Process, Process]) -> None:
    first, second = a_cancellation(), a_cancellation()

    await publish(rabbitmq_url, first, correlation_id="the-request")
    await publish(rabbitmq_url, second)

    for process in processes:
        await eventually(lambda process=process: len(process.heard) == 2, LONG)
        assert process.heard == [first.event_id, second.event_id]
        assert process.correlations[0] == "the-request"


async def test_what_nobody_can_handle_is_forgotten_and_the_next_is_heard(
    rabbitmq_url: str, processes: tuple[Process, Process], channel: aio_pika.abc.AbstractChannel
) -> None:
    exchange = await channel.get_exchange("projects.events")
    failing, last = a_cancellation(), a_cancellation()
    stranger = ProjectCreated(project_id=new_id(), name="Letters", created_by=new_id())
    for process in processes:
        process.refuses = failing.event_id

    for body in (b"", b"\xff", b"[]", b'{"id": "x", "data": {"attempt": "many"}}', stranger.to_bytes()):
        await exchange.publish(aio_pika.Message(body), CANCELLED)
    await publish(rabbitmq_url, failing)
    await publish(rabbitmq_url, last)

    for process in processes:
        await eventually(lambda process=process: process.heard, LONG)
        assert process.heard == [last.event_id]
    for queue in ("ocr_queue", "ocr_queue.dead"):
        assert (await channel.declare_queue(queue, passive=True)).declaration_result.message_count == 0


async def test_broadcasts_are_heard_again_after_a_lost_connection(
    rabbitmq_url: str,
    processes: tuple[Process, Process],
    close_broker_connections: Callable[[], Awaitable[int]],
) -> None:
    async def closed() -> bool:
        return await close_broker_connections() >= len(processes)

    await eventually(closed, LONG)

    async def hears() -> bool:
        # What is said while a process is away is lost to it, so it is said until all are back.
        await publish(rabbitmq_url, a_cancellation())
        return all(process.heard for process in processes)

    await eventually(hears, LONG)
    for process in processes:
        await process.listener.check()


async def test_broadcasts_are_heard_again_after_their_queue_was_deleted(
    rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await declare_topology(rabbitmq_url)
    process, queues, consume = Process(rabbitmq_url), list[aio_pika.abc.AbstractQueue](), aio_pika.Queue.consume

    async def note(queue: aio_pika.Queue, *args: Any, **kwargs: Any) -> str:
        queues.append(queue)
        return await consume(queue, *args, **kwargs)

    monkeypatch.setattr(aio_pika.Queue, "consume", note)
    await process.listener.start()
    try:
        # Nobody else may: the queue is its connection's own, for all but the operators of the broker.
        await queues[0].delete(if_unused=False, if_empty=False)

        async def hears() -> bool:
            await publish(rabbitmq_url, a_cancellation())
            return bool(process.heard)

        await eventually(hears, LONG)
        await process.listener.check()
    finally:
        await process.listener.stop()


async def test_a_process_that_is_gone_leaves_no_queue_behind(
    rabbitmq_url: str, channel: aio_pika.abc.AbstractChannel
) -> None:
    await declare_topology(rabbitmq_url)
    process = Process(rabbitmq_url)
    await process.listener.start()
    await process.listener.stop()

    exchange = await channel.get_exchange("projects.events")

    async def is_unheard() -> bool:
        try:
            await exchange.publish(aio_pika.Message(b""), CANCELLED)
        except aio_pika.exceptions.PublishError:
            return True
        return False

    # RabbitMQ 4.3 takes a moment longer than the connection.
    await eventually(is_unheard)
    with pytest.raises(UnavailableError):
        await process.listener.check()


async def test_listening_waits_for_a_broker_that_is_not_there_yet() -> None:
    listener = BroadcastListener("amqp://guest:guest@127.0.0.1:9/", "ocr", [])
    starting = asyncio.create_task(listener.start())

    done, _ = await asyncio.wait([starting], timeout=0.5)

    assert not done
    starting.cancel()
    await listener.stop()
