import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Protocol

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from alta_common.contracts.event import Event
from alta_common.contracts.identity import UserRegistered
from alta_common.contracts.projects import DocumentOcrRequested, ProjectCreated
from alta_common.errors import InvalidError, UnavailableError
from alta_common.ids import new_id
from alta_common.messaging.consumers import Consumer, ConsumerApp, Handler
from alta_common.messaging.failures import UnfinishedError
from alta_common.messaging.publisher import EventPublisher
from alta_common.messaging.topology import RetryDelay
from alta_common.settings import ServiceSettings
from alta_common.telemetry.context import bind_request, correlation_id, current_trace_id, span
from alta_common.telemetry.setup import setup_telemetry
from alta_common.testing import eventually

CloseConnections = Callable[[], Awaitable[int]]
QUICK = (RetryDelay("retry.quick", timedelta(milliseconds=50)), RetryDelay("retry.slow", timedelta(milliseconds=150)))
QUEUE = "ocr_queue"


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


@pytest.fixture(autouse=True)
def _tracing() -> None:
    setup_telemetry(ServiceSettings(), "tests")


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def consuming(rabbitmq_url: str, reader: Reader) -> Starts:
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


Depth = Callable[[str], Awaitable[int]]


@pytest.fixture
def depth(channel: aio_pika.abc.AbstractChannel) -> Depth:
    async def count(queue: str) -> int:
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    return count


async def dead_letter(channel: aio_pika.abc.AbstractChannel, queue: str = QUEUE) -> AbstractIncomingMessage:
    found = await channel.declare_queue(f"{queue}.dead", passive=True)
    return await eventually(lambda: found.get(fail=False, no_ack=True))


async def test_an_event_is_handled_once_and_leaves_nothing_behind(
    consuming: Starts, reader: Reader, publisher: EventPublisher, depth: Depth
) -> None:
    event = a_request()
    async with consuming():
        await publisher.publish(event)
        await eventually(lambda: reader.finished)

    assert [one.event_id for one in reader.finished] == [event.event_id]
    assert reader.finished[0].data() == event.data()
    assert await depth(QUEUE) == 0


async def test_request_and_trace_go_on_in_the_handler(
    consuming: Starts, reader: Reader, publisher: EventPublisher
) -> None:
    async with consuming():
        with bind_request("req-7"), span("upload"):
            trace_id = current_trace_id()
            await publisher.publish(a_request())
        await eventually(lambda: reader.finished)

    assert reader.correlations == ["req-7"]
    assert reader.traces == [trace_id]


async def test_what_may_get_better_is_tried_again(
    consuming: Starts, reader: Reader, publisher: EventPublisher, depth: Depth
) -> None:
    reader.failures = [UnavailableError("storage is away"), RuntimeError("who knows")]
    with bind_request("req-8"), span("upload"):
        async with consuming():
            await publisher.publish(a_request())
            await eventually(lambda: reader.finished)

    assert len(reader.events) == 3
    assert reader.correlations == ["req-8"] * 3
    assert len(set(reader.traces)) == 1
    assert await depth(QUEUE) == 0
    assert await depth(f"{QUEUE}.dead") == 0


async def test_after_the_last_try_the_owner_is_told_and_the_message_is_dead(
    consuming: Starts, reader: Reader, publisher: EventPublisher, channel: aio_pika.abc.AbstractChannel
) -> None:
    event = a_request()
    reader.failures = [RuntimeError(f"no {number}") for number in range(3)]
    async with consuming():
        await publisher.publish(event)
        message = await dead_letter(channel)

    assert [(one.event_id, why) for one, why in reader.given_up] == [(event.event_id, "no 2")]
    assert message.message_id == str(event.event_id)
    assert message.headers["x-alta-queue"] == QUEUE
    assert message.headers["x-alta-attempt"] == 3
    assert message.headers["x-alta-reason"] == "RuntimeError"
    assert message.headers["x-alta-error"] == "RuntimeError: no 2"
    assert message.headers["x-alta-exchange"] == "projects.events"
    assert message.headers["x-alta-routing-key"] == "projects.document.ocr_requested.v1"
    assert message.headers["cloudEvents:type"] == "DOCUMENT_OCR_REQUESTED"


async def test_what_cannot_get_better_is_dead_at_once(
    consuming: Starts, reader: Reader, publisher: EventPublisher, channel: aio_pika.abc.AbstractChannel
) -> None:
    reader.failures = [InvalidError("a torn page")]
    async with consuming():
        await publisher.publish(a_request())
        message = await dead_letter(channel)

    assert len(reader.events) == 1
    assert len(reader.given_up) == 1
    assert message.headers["x-alta-reason"] == "invalid_request"


async def test_an_owner_who_could_not_be_told_is_told_later(
    consuming: Starts, reader: Reader, publisher: EventPublisher, channel: aio_pika.abc.AbstractChannel
) -> None:
    reader.failures = [InvalidError("a torn page")] * 3
    reader.giving_up_fails = 2
    async with consuming():
        await publisher.publish(a_request())
        await dead_letter(channel)

    assert len(reader.given_up) == 1


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b"[]", b'{"id": "x"}', b'{"id": "x", "data": {"document_id": 1}}'])
async def test_a_message_that_nobody_can_read_is_dead_and_the_queue_goes_on(
    consuming: Starts, reader: Reader, publisher: EventPublisher, channel: aio_pika.abc.AbstractChannel, body: bytes
) -> None:
    async with consuming(prefetch=1):
        exchange = await channel.get_exchange("projects.events")
        await exchange.publish(aio_pika.Message(body), "projects.document.ocr_requested.v1")
        await publisher.publish(a_request())
        await eventually(lambda: reader.finished)
        message = await dead_letter(channel)

    assert message.body == body
    assert message.headers["x-alta-reason"] in {"unreadable_message", "unknown_event", "ValidationError"}


async def test_an_event_that_the_queue_has_no_handler_for_is_dead(
    consuming: Starts, reader: Reader, publisher: EventPublisher, channel: aio_pika.abc.AbstractChannel
) -> None:
    event = ProjectCreated(project_id=new_id(), name="Letters", created_by=new_id())
    async with consuming():
        await channel.default_exchange.publish(aio_pika.Message(event.to_bytes()), QUEUE)
        message = await dead_letter(channel)

    assert message.headers["x-alta-reason"] == "unknown_event"
    assert reader.events == []


async def test_no_more_messages_are_handled_at_once_than_asked_for(
    consuming: Starts, reader: Reader, publisher: EventPublisher
) -> None:
    reader.gate.clear()
    async with consuming(prefetch=3):
        for _ in range(8):
            await publisher.publish(a_request())
        await eventually(lambda: reader.busy == 3)
        reader.gate.set()
        await eventually(lambda: len(reader.finished) == 8)

    assert reader.busiest == 3


async def test_a_handler_that_takes_too_long_is_tried_again(
    consuming: Starts, reader: Reader, publisher: EventPublisher
) -> None:
    reader.gate.clear()
    async with consuming(time_limit=timedelta(milliseconds=500)):
        await publisher.publish(a_request())
        await eventually(lambda: len(reader.events) == 2)
        reader.gate.set()
        await eventually(lambda: reader.finished)

    assert len(reader.finished) == 1


async def test_unfinished_work_goes_on_after_those_who_wait(
    consuming: Starts, reader: Reader, publisher: EventPublisher, depth: Depth
) -> None:
    long, short = a_request(), a_request()
    reader.gate.clear()
    reader.failures = [UnfinishedError("a third is done")]
    async with consuming(prefetch=1):
        await publisher.publish(long)
        await publisher.publish(short)
        reader.gate.set()
        await eventually(lambda: len(reader.finished) == 2)

    assert [one.event_id for one in reader.events] == [long.event_id, short.event_id, long.event_id]
    assert [one.event_id for one in reader.finished] == [short.event_id, long.event_id]
    assert await depth(QUEUE) == 0


async def test_a_slice_of_work_is_no_failed_attempt(
    consuming: Starts, reader: Reader, publisher: EventPublisher, depth: Depth
) -> None:
    slices = [UnfinishedError("to be continued") for _ in range(5)]
    reader.failures = [UnavailableError("away"), *slices, UnavailableError("away again"), *slices]
    with bind_request("req-9"):
        async with consuming():
            await publisher.publish(a_request())
            await eventually(lambda: reader.finished)

    assert len(reader.events) == 13
    assert reader.correlations == ["req-9"] * 13
    assert reader.given_up == []
    assert await depth(f"{QUEUE}.dead") == 0


async def test_a_stop_waits_for_what_runs(
    consuming: Starts, reader: Reader, publisher: EventPublisher, depth: Depth
) -> None:
    reader.gate.clear()
    async with consuming(prefetch=1) as app:
        await publisher.publish(a_request())
        await publisher.publish(a_request())
        await eventually(lambda: reader.busy == 1)
        stopping = asyncio.create_task(app.stop())
        await eventually(lambda: app._stopping)
        reader.gate.set()
        await stopping

    assert len(reader.finished) == 1
    assert await depth(QUEUE) == 1  # the second was not taken


async def test_what_does_not_finish_in_time_is_handed_back(
    consuming: Starts, reader: Reader, publisher: EventPublisher, depth: Depth
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
    consuming: Starts, reader: Reader, publisher: EventPublisher, close_broker_connections: CloseConnections
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


async def test_an_event_that_no_queue_hears_is_not_published(publisher: EventPublisher) -> None:
    class Unheard(UserRegistered):
        ROUTING_KEY = "identity.user.unheard.v1"

    with pytest.raises(UnavailableError):
        await publisher.publish(Unheard(user_id=new_id(), email="a@example.org", full_name="A"))


async def test_an_event_above_64_kib_is_refused(publisher: EventPublisher) -> None:
    with pytest.raises(InvalidError):
        await publisher.publish(ProjectCreated(project_id=new_id(), name="x" * 70_000, created_by=new_id()))
