"""A broker that is killed, comes back, or has no memory left, and what its consumers and publishers make of it."""

import asyncio
import shutil
import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import aio_pika
import pytest

from alta_common.contracts.event import Event
from alta_common.contracts.projects import DocumentOcrCancelled, DocumentOcrRequested, ProjectCreated
from alta_common.errors import UnavailableError
from alta_common.ids import new_id
from alta_common.messaging.broker import ConfirmedSender
from alta_common.messaging.consumers import Consumer, ConsumerApp, Handler, Ordered
from alta_common.messaging.partitions import line_of
from alta_common.messaging.publisher import EventPublisher
from alta_common.messaging.topology import EMAIL_QUEUE, RetryDelay, declare_topology
from alta_common.testing import eventually
from alta_common.testing.servers import local_folder
from alta_stack.infra import wait_for
from alta_stack.processes import find_program
from alta_stack.rabbitmq import RabbitmqServer

FOLDER = local_folder() / "rabbitmq-to-restart"
QUEUE = "ocr_queue"
# A busy broker may need seconds to say that it takes nothing, and to confirm when it does again.
CONFIRM = timedelta(seconds=3)
LONGER = 5.0


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


@pytest.mark.parametrize("ends", ["stop", "kill"])
async def test_the_events_of_an_aggregate_keep_their_order_while_the_broker_ends_and_begins(
    own_broker: RabbitmqServer, ends: str
) -> None:
    projects, handled = [new_id() for _ in range(20)], defaultdict[UUID, list[str]](list)
    gate = asyncio.Event()

    async def read(event: ProjectCreated) -> None:
        await gate.wait()
        handled[event.project_id].append(event.name)

    ordered = Ordered(8, pauses=(timedelta(seconds=1),))
    consumer = Consumer(EMAIL_QUEUE, [Handler(ProjectCreated, read)], time_limit=timedelta(minutes=5), ordered=ordered)
    app, publisher = ConsumerApp(own_broker.url, "ordered", [consumer], 1), EventPublisher(own_broker.url, "projects")
    await publisher.start()
    await app.start()
    for number in ("1", "2"):
        for project in projects:
            await publisher.publish(ProjectCreated(project_id=project, name=number, created_by=project))

    await asyncio.to_thread(getattr(own_broker, ends))
    own_broker.launch()
    await asyncio.to_thread(wait_for, own_broker)
    for project in projects:
        await until_published(publisher, ProjectCreated(project_id=project, name="3", created_by=project))
    # All that there is lies in the partitions, wherever that is now.
    await eventually(lambda: is_dealt_out(own_broker))
    gate.set()
    await eventually(lambda: all("3" in handled[project] for project in projects))

    assert [list(dict.fromkeys(handled[project])) for project in projects] == [["1", "2", "3"]] * 20
    await app.stop()
    await publisher.stop()


async def is_dealt_out(broker: RabbitmqServer) -> bool:
    return await depth(broker, line_of(EMAIL_QUEUE)) == 0


@asynccontextmanager
async def alarm(broker: RabbitmqServer) -> AsyncIterator[None]:
    """Have the broker believe that its memory is used up: it takes nothing from those who publish."""
    await set_watermark(broker, "0")
    try:
        yield
    finally:
        await set_watermark(broker, "0.4")


async def set_watermark(broker: RabbitmqServer, share: str) -> None:
    program = find_program("rabbitmqctl", "/usr/lib/rabbitmq/bin", package="rabbitmq-server")
    command = [program, "set_vm_memory_high_watermark", share]
    await asyncio.to_thread(subprocess.run, command, env=broker._environment(), check=True, capture_output=True)


async def test_an_alarm_that_outlasts_the_time_for_a_confirm_makes_no_second_copy(own_broker: RabbitmqServer) -> None:
    publisher = EventPublisher(own_broker.url, "projects", confirm_within=CONFIRM)
    await publisher.start()
    before = await depth(own_broker)

    async with alarm(own_broker):
        # The broker reads the first, and only then says that it takes no more; the second is not even written.
        sending = [asyncio.create_task(until_published(publisher, a_request())) for _ in range(2)]
        done, _ = await asyncio.wait(sending, timeout=LONGER)
        assert not done
    await asyncio.gather(*sending)

    assert await depth(own_broker) - before == 2
    await publisher.stop()


async def test_a_message_that_is_to_be_tried_again_is_so_once_however_long_an_alarm_lasts(
    own_broker: RabbitmqServer,
) -> None:
    tries: list[object] = []
    wanted = a_request()

    async def read(event: DocumentOcrRequested) -> None:
        if event.event_id == wanted.event_id:
            tries.append(event.event_id)
            await asyncio.sleep(0)
            if len(tries) == 1:
                await failing.wait()
                raise UnavailableError("not yet")

    failing = asyncio.Event()
    ladder = (RetryDelay("retry.quick", timedelta(milliseconds=50)),)
    app = ConsumerApp(own_broker.url, "ocr", [Consumer(QUEUE, [Handler(DocumentOcrRequested, read)])], 5, ladder=ladder)
    app._sender._confirm_seconds = CONFIRM.total_seconds()
    publisher = EventPublisher(own_broker.url, "projects")
    await app.start()
    await publisher.start()
    await publisher.publish(wanted)
    await eventually(lambda: tries)

    async with alarm(own_broker):
        failing.set()
        await asyncio.sleep(LONGER)
    await eventually(lambda: len(tries) == 2)
    # Behind whatever copies there may be.
    await publisher.publish(a_request())
    await eventually(lambda: is_empty(own_broker))

    assert len(tries) == 2
    await app.stop()
    await publisher.stop()


async def test_who_does_not_wait_out_an_alarm_is_told_of_it_before_anything_more_is_written(
    own_broker: RabbitmqServer,
) -> None:
    await declare_topology(own_broker.url)
    sender = ConfirmedSender(own_broker.url, "tests", CONFIRM)
    await sender.start()
    before = await depth(own_broker)

    async with alarm(own_broker):
        with pytest.raises(UnavailableError, match="no confirm"):
            await sender.send("", QUEUE, aio_pika.Message(b"read before the broker said so"))
        with pytest.raises(UnavailableError, match="alarm"):
            await sender.send("", QUEUE, aio_pika.Message(b"not written"))
    # What the broker says when its alarm is over may come later than the answer to who has ended it.
    await eventually(lambda: is_unblocked(sender))

    await sender.send("", QUEUE, aio_pika.Message(b"after"))
    assert await depth(own_broker) - before == 2
    await sender.stop()


async def depth(broker: RabbitmqServer, queue: str = QUEUE) -> int:
    async with await aio_pika.connect(broker.url) as connection:
        declared = await (await connection.channel()).declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


async def is_empty(broker: RabbitmqServer) -> bool:
    return await depth(broker) == 0 and await depth(broker, "retry.quick") == 0


async def is_unblocked(sender: ConfirmedSender) -> bool:
    return not await sender._is_blocked()


async def until_published(publisher: EventPublisher, event: Event) -> None:
    """Publish as a consumer hands a message on: again and again, until the broker has confirmed it."""
    while True:
        try:
            return await publisher.publish(event)
        except UnavailableError:
            await asyncio.sleep(0.1)


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
