"""A queue with a consumer that does as it is told, for the tests of messaging."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Protocol

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from alta_common.contracts.event import Event
from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.errors import UnavailableError
from alta_common.ids import new_id
from alta_common.messaging.consumers import Consumer, ConsumerApp, Handler
from alta_common.messaging.publisher import EventPublisher
from alta_common.messaging.topology import RetryDelay
from alta_common.settings import ServiceSettings
from alta_common.telemetry.context import correlation_id, current_trace_id
from alta_common.telemetry.setup import setup_telemetry
from alta_common.testing import eventually

QUICK = (RetryDelay("retry.quick", timedelta(milliseconds=50)), RetryDelay("retry.slow", timedelta(milliseconds=150)))
QUEUE = "ocr_queue"


@pytest.fixture
def a_request() -> Callable[[], DocumentOcrRequested]:
    """Makes requests."""
    return lambda: DocumentOcrRequested(
        document_id=new_id(),
        project_id=new_id(),
        object_key="documents/1",
        content_type="image/png",
        size_bytes=1,
        sha256="0" * 64,
        filename="page.png",
    )


class Reader:
    """A handler that remembers what it got, fails as told, and takes as long as told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.finished: list[Event] = []
        self.given_up: list[tuple[Event, str]] = []
        self.correlations: list[str | None] = []
        self.traces: list[str | None] = []
        self.failures: list[Exception] = []
        self.giving_up_fails = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.busy = 0
        self.busiest = 0

    async def read(self, event: Event) -> None:
        self.events.append(event)
        self.correlations.append(correlation_id())
        self.traces.append(current_trace_id())
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            await self.gate.wait()
            if self.failures:
                raise self.failures.pop(0)
        finally:
            self.busy -= 1
        self.finished.append(event)

    async def give_up(self, event: Event, error: Exception) -> None:
        if self.giving_up_fails:
            self.giving_up_fails -= 1
            raise UnavailableError("nobody to tell")
        self.given_up.append((event, str(error)))


class Starts(Protocol):
    def __call__(
        self, *, prefetch: int = 10, drain_seconds: float = 5, time_limit: timedelta = timedelta(minutes=1)
    ) -> AbstractAsyncContextManager[ConsumerApp]: ...


@pytest.fixture
def tracing() -> None:
    setup_telemetry(ServiceSettings(), "tests")


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def consuming(rabbitmq_url: str, reader: Reader, tracing: None) -> Starts:
    @asynccontextmanager
    async def start(
        *, prefetch: int = 10, drain_seconds: float = 5, time_limit: timedelta = timedelta(minutes=1)
    ) -> AsyncIterator[ConsumerApp]:
        consumer = Consumer(
            QUEUE,
            [Handler(DocumentOcrRequested, reader.read, reader.give_up)],
            prefetch=prefetch,
            time_limit=time_limit,
        )
        app = ConsumerApp(rabbitmq_url, "ocr", [consumer], drain_seconds, ladder=QUICK)
        await app.start()
        try:
            yield app
        finally:
            await app.stop()

    return start


@pytest.fixture
async def publisher(rabbitmq_url: str) -> AsyncIterator[EventPublisher]:
    publisher = EventPublisher(rabbitmq_url, "projects")
    await publisher.start()
    yield publisher
    await publisher.stop()


@pytest.fixture
async def channel(rabbitmq_url: str, publisher: EventPublisher) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    async with await aio_pika.connect(rabbitmq_url) as connection:
        yield await connection.channel()


@pytest.fixture
def depth(channel: aio_pika.abc.AbstractChannel) -> Callable[[str], Awaitable[int]]:
    """Counts the messages of a queue."""

    async def count(queue: str) -> int:
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    return count


@pytest.fixture
def dead_letter(channel: aio_pika.abc.AbstractChannel) -> Callable[[], Awaitable[AbstractIncomingMessage]]:
    """Waits for the message that nobody could handle."""

    async def take() -> AbstractIncomingMessage:
        found = await channel.declare_queue(f"{QUEUE}.dead", passive=True)
        return await eventually(lambda: found.get(fail=False, no_ack=True))

    return take
