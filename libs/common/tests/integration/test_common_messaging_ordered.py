"""Ordered consumption on a real broker: each aggregate in its order, whatever fails, dies or changes."""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aio_pika
import pytest

from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.errors import InvalidError, UnavailableError
from alta_common.ids import new_id
from alta_common.messaging.consumers import Consumer, ConsumerApp, Handler, Ordered
from alta_common.messaging.partitions import partition_of
from alta_common.messaging.publisher import EventPublisher
from alta_common.messaging.topology import declare_topology
from alta_common.testing import eventually

QUEUE = "ocr_queue"
QUICK = (timedelta(milliseconds=20), timedelta(milliseconds=40))
PROCESS = Path(__file__).parent / "ordered_process.py"

History = dict[UUID, list[int]]


class Book:
    """Notes what was handled, in order; fails and waits as told."""

    def __init__(self) -> None:
        self.tries: History = defaultdict(list)
        self.done: History = defaultdict(list)
        self.failing: dict[UUID, Exception] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.busy: set[UUID] = set()

    @property
    def count(self) -> int:
        return sum(len(numbers) for numbers in self.done.values())

    async def read(self, event: DocumentOcrRequested) -> None:
        self.tries[event.document_id].append(event.attempt)
        self.busy.add(event.document_id)
        await self.gate.wait()
        self.busy.discard(event.document_id)
        if event.attempt == 1 and event.document_id in self.failing:
            raise self.failing[event.document_id]
        self.done[event.document_id].append(event.attempt)


@pytest.fixture
def book() -> Book:
    return Book()


@asynccontextmanager
async def consuming(
    rabbitmq_url: str, book: Book, partitions: int, *, pauses: tuple[timedelta, ...] = QUICK, drain_seconds: float = 5
) -> AsyncIterator[ConsumerApp]:
    ordered = Ordered(partitions, pauses) if partitions else None
    handlers = [Handler(DocumentOcrRequested, book.read)]
    consumer = Consumer(QUEUE, handlers, time_limit=Ordered.TIME_LIMIT, ordered=ordered)
    app = ConsumerApp(rabbitmq_url, "ordered", [consumer], drain_seconds)
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


def an_event(document: UUID, number: int) -> DocumentOcrRequested:
    return DocumentOcrRequested(
        document_id=document,
        project_id=document,
        attempt=number,
        object_key="documents/1",
        content_type="image/png",
        size_bytes=1,
        sha256="0" * 64,
        filename="page.png",
    )


async def publish(publisher: EventPublisher, documents: list[UUID], numbers: range) -> None:
    for number in numbers:
        for document in documents:
            await publisher.publish(an_event(document, number))


async def test_each_aggregate_keeps_its_order_and_partitions_do_not_wait_for_each_other(
    rabbitmq_url: str, book: Book, publisher: EventPublisher
) -> None:
    documents = [new_id() for _ in range(20)]
    book.gate.clear()
    async with consuming(rabbitmq_url, book, 4):
        await publish(publisher, documents, range(1, 8))
        await eventually(lambda: len(book.busy) > 1)
        book.gate.set()
        await eventually(lambda: book.count == 140)

    assert book.done == {document: list(range(1, 8)) for document in documents}


async def test_what_fails_is_tried_in_place_and_only_its_partition_waits(
    rabbitmq_url: str, book: Book, publisher: EventPublisher
) -> None:
    documents = [new_id() for _ in range(20)]
    late = documents[0]
    book.failing[late] = UnavailableError("not yet")
    async with consuming(rabbitmq_url, book, 4, pauses=(QUICK[0], QUICK[0], timedelta(minutes=1))):
        await publish(publisher, documents, range(1, 3))
        # Its third attempt fails too; now it waits, and others of its partition with it.
        await eventually(lambda: len(book.tries[late]) == 3)
        await eventually(lambda: book.count >= 10)

    assert book.tries[late] == [1, 1, 1]
    assert all(numbers == [1, 2][: len(numbers)] for numbers in book.done.values())
    book.failing.clear()
    async with consuming(rabbitmq_url, book, 4):
        await eventually(lambda: book.count == 40)
    assert book.done == {document: [1, 2] for document in documents}


@pytest.mark.parametrize(("error", "attempts"), [(UnavailableError("away"), 3), (InvalidError("never"), 1)])
async def test_in_the_end_it_is_dead_and_the_next_has_its_turn(
    rabbitmq_url: str, book: Book, publisher: EventPublisher, dead_letter: Any, error: Exception, attempts: int
) -> None:
    document = new_id()
    book.failing[document] = error
    async with consuming(rabbitmq_url, book, 2):
        await publish(publisher, [document], range(1, 4))
        message = await dead_letter()
        await eventually(lambda: book.count == 2)

    assert book.tries[document] == [1] * attempts + [2, 3]
    assert (message.headers["x-alta-queue"], message.headers["x-alta-attempt"]) == (QUEUE, attempts)
    assert message.headers["x-alta-routing-key"] == "projects.document.ocr_requested.v1"


async def test_what_nobody_can_read_is_dead_and_the_next_has_its_turn(
    rabbitmq_url: str, book: Book, publisher: EventPublisher, channel: aio_pika.abc.AbstractChannel, dead_letter: Any
) -> None:
    async with consuming(rabbitmq_url, book, 1):
        exchange = await channel.get_exchange("projects.events")
        await exchange.publish(aio_pika.Message(b"not json"), "projects.document.ocr_requested.v1")
        await publish(publisher, [new_id()], range(1, 3))
        assert (await dead_letter()).body == b"not json"
        await eventually(lambda: book.count == 2)


async def test_a_stop_does_not_wait_for_what_waits_and_the_next_goes_on_in_order(
    rabbitmq_url: str, book: Book, publisher: EventPublisher
) -> None:
    document = new_id()
    book.failing[document] = UnavailableError("not yet")
    async with consuming(rabbitmq_url, book, 1, pauses=(timedelta(minutes=5),)):
        await publish(publisher, [document], range(1, 6))
        await eventually(lambda: book.tries[document] == [1])
    book.failing.clear()
    assert book.count == 0

    async with consuming(rabbitmq_url, book, 1):
        await eventually(lambda: book.count == 5)
    assert book.done[document] == [1, 2, 3, 4, 5]


async def test_the_next_process_goes_on_after_what_the_one_before_gives_back(
    rabbitmq_url: str, book: Book, publisher: EventPublisher
) -> None:
    document = new_id()
    book.gate.clear()
    async with consuming(rabbitmq_url, book, 1) as replaced, consuming(rabbitmq_url, book, 1):
        await publish(publisher, [document], range(1, 21))
        await eventually(lambda: book.tries[document] == [1])
        stopping = asyncio.create_task(replaced.stop())
        # As long as the broker would need to give the other one what comes after that which is held.
        await asyncio.sleep(0.5)
        book.gate.set()
        await stopping
        await eventually(lambda: 20 in book.done[document])

    assert book.done[document] == list(range(1, 21))


class OtherProcess:
    """A process with the same ordered consumer."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.handled: History = defaultdict(list)

    async def lines(self) -> AsyncIterator[str]:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            word, *rest = line.decode().split()
            if word == "handling":
                self.handled[UUID(rest[0])].append(int(rest[1]))
            # Its log lines come the same way.
            if word in {"handling", "ready"}:
                yield word

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        async for _ in self.lines():
            pass
        await self.process.wait()


@pytest.fixture
async def other(rabbitmq_url: str) -> AsyncIterator[OtherProcess]:
    other = OtherProcess(
        await asyncio.create_subprocess_exec(
            sys.executable, str(PROCESS), rabbitmq_url, "2", stdout=asyncio.subprocess.PIPE
        )
    )
    assert await anext(other.lines()) == "ready"
    yield other
    await other.kill()


async def test_another_process_takes_over_from_one_that_is_killed(
    rabbitmq_url: str, book: Book, publisher: EventPublisher, other: OtherProcess
) -> None:
    documents = [new_id() for _ in range(6)]

    def of(document: UUID) -> list[int]:
        return [*other.handled[document], *book.done[document]]

    async with consuming(rabbitmq_url, book, 2):
        await publish(publisher, documents, range(1, 31))
        async for _ in other.lines():
            if sum(map(len, other.handled.values())) == 20:
                break
        await other.kill()
        await eventually(lambda: all(of(document)[-1] == 30 for document in documents))

    assert [list(dict.fromkeys(of(document))) for document in documents] == [list(range(1, 31))] * 6
    # At most what two partitions held was begun there and done again here.
    assert sum(len(of(document)) for document in documents) - 180 <= 20


async def test_lost_connections_change_no_order(
    rabbitmq_url: str, book: Book, publisher: EventPublisher, close_broker_connections: Any
) -> None:
    # So many that both partitions have some of them.
    documents = [new_id() for _ in range(20)]
    book.gate.clear()
    async with consuming(rabbitmq_url, book, 2):
        await publish(publisher, documents, range(1, 5))
        await eventually(lambda: len(book.busy) == 2)
        await eventually(close_broker_connections)
        book.gate.set()
        await eventually(lambda: all(4 in book.done[document] for document in documents))

    for document in documents:
        assert list(dict.fromkeys(book.done[document])) == [1, 2, 3, 4]


async def test_a_queue_becomes_ordered_and_ordinary_again_without_losing_anything(
    rabbitmq_url: str, book: Book, publisher: EventPublisher, depth: Any
) -> None:
    documents = [new_id() for _ in range(8)]
    await publish(publisher, documents, range(1, 2))  # these lie in the ordinary queue
    for number, partitions in ((2, 3), (3, 1), (4, 0)):
        book.gate.clear()
        async with consuming(rabbitmq_url, book, partitions, drain_seconds=0.05):
            await declare_topology(rabbitmq_url)  # as any other process does when it starts
            await publish(publisher, documents, range(number, number + 1))
            # Stopped in the middle: what is left lies in queues that the next one does not have.
            await eventually(lambda: book.busy)
    async with consuming(rabbitmq_url, book, 0):
        book.gate.set()
        await eventually(
            lambda: book.done.keys() >= set(documents) and all(set(book.done[one]) == {1, 2, 3, 4} for one in documents)
        )
        await eventually(lambda: is_empty(depth, [QUEUE, *(partition_of(QUEUE, number) for number in range(3))]))


async def is_empty(depth: Any, queues: list[str]) -> bool:
    return not any([await depth(queue) for queue in queues])


async def test_what_is_sent_to_the_queue_by_name_finds_its_partition(
    rabbitmq_url: str, book: Book, publisher: EventPublisher, channel: aio_pika.abc.AbstractChannel, dead_letter: Any
) -> None:
    document = new_id()
    book.failing[document] = InvalidError("never")
    async with consuming(rabbitmq_url, book, 2):
        await publish(publisher, [document], range(1, 2))
        dead = await dead_letter()
        book.failing.clear()
        again = aio_pika.Message(dead.body, headers=dead.headers)
        await channel.default_exchange.publish(again, QUEUE)
        await eventually(lambda: book.done[document] == [1])
