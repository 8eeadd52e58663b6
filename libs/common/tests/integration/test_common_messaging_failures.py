"""What becomes of messages whose handling fails: another try, or an end that somebody is told of."""

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import aio_pika
import orjson
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.abc import ChannelFrame
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.frame import marshal
from pamqp.header import ContentHeader
from prometheus_client import REGISTRY

from alta_common.clock import utc_now
from alta_common.contracts.projects import DocumentOcrRequested, ProjectCreated
from alta_common.errors import InvalidError, UnavailableError
from alta_common.ids import new_id
from alta_common.messaging.consumers import Consumer, ConsumerApp, Handler
from alta_common.messaging.failures import UnfinishedError
from alta_common.messaging.publisher import EventPublisher
from alta_common.messaging.topology import RetryDelay
from alta_common.telemetry.context import bind_request, span
from alta_common.testing import eventually

QUEUE = "ocr_queue"


async def test_what_may_get_better_is_tried_again(
    consuming: Any, reader: Any, publisher: EventPublisher, depth: Any, a_request: Any
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
    consuming: Any, reader: Any, publisher: EventPublisher, dead_letter: Any, a_request: Any
) -> None:
    event = a_request()
    reader.failures = [RuntimeError(f"no {number}") for number in range(3)]
    async with consuming():
        await publisher.publish(event)
        message = await dead_letter()

    assert [(one.event_id, why) for one, why in reader.given_up] == [(event.event_id, "no 2")]
    assert message.message_id == str(event.event_id)
    assert message.headers["x-alta-queue"] == QUEUE
    assert message.headers["x-alta-attempt"] == 3
    assert message.headers["x-alta-reason"] == "RuntimeError"
    assert message.headers["x-alta-error"] == "RuntimeError: no 2"
    assert message.headers["x-alta-exchange"] == "projects.events"
    assert message.headers["x-alta-routing-key"] == "projects.document.ocr_requested.v1"
    assert message.headers["cloudEvents:type"] == "DOCUMENT_OCR_REQUESTED"


async def test_what_becomes_of_messages_is_counted(
    consuming: Any, reader: Any, publisher: EventPublisher, dead_letter: Any, a_request: Any
) -> None:
    event_type = "DOCUMENT_OCR_REQUESTED"
    labels = {"queue": QUEUE, "event_type": event_type}
    samples = {
        "handled": ("alta_consumer_messages_total", labels | {"outcome": "handled"}),
        "retried": ("alta_consumer_messages_total", labels | {"outcome": "retried"}),
        "dead": ("alta_consumer_messages_total", labels | {"outcome": "dead_lettered"}),
        "unavailable": ("alta_consumer_failures_total", labels | {"code": "unavailable"}),
        "refused": ("alta_consumer_failures_total", labels | {"code": "invalid_request"}),
        "took": ("alta_consumer_duration_seconds_count", labels),
        "waited": ("alta_queue_wait_seconds_count", {"queue": QUEUE}),
    }

    def counted() -> dict[str, float]:
        return {name: REGISTRY.get_sample_value(*sample) or 0 for name, sample in samples.items()}

    before = counted()
    reader.failures = [UnavailableError("away"), InvalidError("a torn page")]
    async with consuming():
        await publisher.publish(a_request())
        await dead_letter()
        await publisher.publish(a_request())
        await eventually(lambda: reader.finished)

    grown = {name: value - before[name] for name, value in counted().items()}
    assert grown == {"handled": 1, "retried": 1, "dead": 1, "unavailable": 1, "refused": 1, "took": 3, "waited": 3}
    assert REGISTRY.get_sample_value("alta_consumer_running", {"queue": QUEUE}) == 0


async def test_what_cannot_get_better_is_dead_at_once(
    consuming: Any, reader: Any, publisher: EventPublisher, dead_letter: Any, a_request: Any
) -> None:
    reader.failures = [InvalidError("a torn page")]
    async with consuming():
        await publisher.publish(a_request())
        message = await dead_letter()

    assert len(reader.events) == 1
    assert len(reader.given_up) == 1
    assert message.headers["x-alta-reason"] == "invalid_request"


async def test_an_owner_who_could_not_be_told_is_told_later(
    consuming: Any, reader: Any, publisher: EventPublisher, dead_letter: Any, a_request: Any
) -> None:
    reader.failures = [InvalidError("a torn page")] * 3
    reader.giving_up_fails = 2
    async with consuming():
        await publisher.publish(a_request())
        await dead_letter()

    assert len(reader.given_up) == 1


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b"[]", b'{"id": "x"}', b'{"id": "x", "data": {"document_id": 1}}'])
async def test_a_message_that_nobody_can_read_is_dead_and_the_queue_goes_on(
    consuming: Any,
    reader: Any,
    publisher: EventPublisher,
    channel: AbstractChannel,
    body: bytes,
    dead_letter: Any,
    a_request: Any,
) -> None:
    async with consuming(prefetch=1):
        exchange = await channel.get_exchange("projects.events")
        await exchange.publish(aio_pika.Message(body), "projects.document.ocr_requested.v1")
        await publisher.publish(a_request())
        await eventually(lambda: reader.finished)
        message = await dead_letter()

    assert message.body == body
    assert message.headers["x-alta-reason"] in {"unreadable_message", "unknown_event", "ValidationError"}


async def test_a_message_that_waits_for_another_try_says_which_and_not_why(
    rabbitmq_url: str, reader: Any, publisher: EventPublisher, channel: AbstractChannel, a_request: Any
) -> None:
    reader.failures = [UnavailableError("storage is away")]
    ladder = (RetryDelay("retry.long", timedelta(minutes=5)),)
    app = ConsumerApp(
        rabbitmq_url, "ocr", [Consumer(QUEUE, [Handler(DocumentOcrRequested, reader.read)])], 1, ladder=ladder
    )
    await app.start()
    await publisher.publish(a_request())
    waiting = await channel.get_queue("retry.long")
    message = await eventually(lambda: waiting.get(fail=False, no_ack=True))
    await app.stop()

    assert message.headers["x-alta-attempt"] == 2
    # Where the broker gives it up in the end, because of deliveries that came to nothing, this would be read as why.
    assert not {"x-alta-reason", "x-alta-error"} & message.headers.keys()


@pytest.mark.parametrize("again", [UnavailableError("away"), UnfinishedError("a third is done")])
async def test_a_message_that_comes_back_waits_since_then_and_not_since_its_event(
    consuming: Any, reader: Any, publisher: EventPublisher, a_request: Any, again: Exception
) -> None:
    def waited() -> float:
        return REGISTRY.get_sample_value("alta_queue_wait_seconds_sum", {"queue": QUEUE}) or 0

    before = waited()
    reader.failures = [again]
    old = a_request().model_copy(update={"occurred_at": utc_now() - timedelta(hours=1)})
    async with consuming():
        await publisher.publish(old)
        await eventually(lambda: reader.finished)

    assert 3600 <= waited() - before < 3900


async def test_a_type_that_nobody_has_heard_of_makes_no_series_of_its_own(
    consuming: Any, publisher: EventPublisher, channel: AbstractChannel, dead_letter: Any
) -> None:
    labels = {"queue": QUEUE, "event_type": "unknown", "outcome": "dead_lettered"}
    before = REGISTRY.get_sample_value("alta_consumer_messages_total", labels) or 0
    async with consuming():
        for name in ("ONE", "ANOTHER"):
            body = orjson.dumps({"id": "x", "type": f"{name}_{new_id()}"})
            await channel.default_exchange.publish(aio_pika.Message(body), QUEUE)
            await dead_letter()

        def counted() -> bool:
            return REGISTRY.get_sample_value("alta_consumer_messages_total", labels) == before + 2

        await eventually(counted)


def nested_tables(depth: int) -> bytes:
    """Return a table that holds a table that holds a table…, without the length that stands before it."""
    table = b""
    for _ in range(depth):
        table = b"\x01tF" + struct.pack(">I", len(table)) + table
    return table


DEEP = nested_tables(1000)
HEADERS = {"number": 2**40, "x-alta-note": 2**40, "text": "x" * len(DEEP)}

# What stands in a message's properties when they are written well, and what somebody else's program writes instead.
DAMAGES = {
    "a timestamp in microseconds": (struct.pack(">Q", 1_700_000_000), struct.pack(">Q", 1_700_000_000_000_000)),
    "a timestamp without end": (struct.pack(">Q", 1_700_000_000), b"\xff" * 8),
    "a type in Latin-1": (b"\x04cafe", b"\x04caf\xe9"),
    "a header named in Latin-1": (b"\x06numberl", b"\x06numb\xe9rl"),
    "tables in tables in tables": (
        b"S" + struct.pack(">I", len(DEEP)) + b"x" * len(DEEP),
        b"F" + struct.pack(">I", len(DEEP)) + DEEP,
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_message_whose_properties_nobody_can_decode_is_dead_and_its_neighbours_are_handled(
    consuming: Any,
    reader: Any,
    publisher: EventPublisher,
    channel: AbstractChannel,
    damage: str,
    dead_letter: Any,
    a_request: Any,
) -> None:
    reader.gate.clear()
    async with consuming():
        await publisher.publish(a_request())
        await eventually(lambda: reader.busy == 1)
        await publish_damaged(channel, a_request().to_bytes(), *DAMAGES[damage])
        message = await dead_letter()
        await publisher.publish(a_request())
        await eventually(lambda: reader.busy == 2)
        reader.gate.set()
        await eventually(lambda: len(reader.finished) == 2)

    assert len(reader.events) == 2  # the connection stayed, so none came twice
    assert message.message_id == "damaged"
    assert message.headers["x-alta-reason"] == "unreadable_message"
    assert "x-undecodable" not in message.headers


# What the client library reads in a header and does not write.
ONE_WAY = {"caf\xe9": b"S\0\0\0\x04caf\xe9", "1e+300": b"d" + struct.pack(">d", 1e300)}


@pytest.mark.parametrize("text", ONE_WAY)
async def test_a_message_with_a_header_that_cannot_be_written_again_is_copied_all_the_same(
    consuming: Any, publisher: EventPublisher, channel: AbstractChannel, dead_letter: Any, text: str
) -> None:
    well = b"x-alta-notel" + struct.pack(">q", 2**40)
    async with consuming():
        damaged = b"x-alta-note" + ONE_WAY[text]
        await publish_damaged(channel, b"nonsense", well, damaged)
        message = await dead_letter()

    assert message.headers["x-alta-reason"] == "unreadable_message"
    assert message.headers["x-alta-note"] == text


async def publish_damaged(channel: AbstractChannel, body: bytes, well: bytes, damaged: bytes) -> None:
    """Publish what no client library lets one write."""
    moment = datetime.fromtimestamp(1_700_000_000, UTC)
    properties = commands.Basic.Properties(message_id="damaged", timestamp=moment, message_type="cafe", headers=HEADERS)
    raw = await channel.get_underlay_channel()
    frames = (
        commands.Basic.Publish(exchange="", routing_key=QUEUE),
        ContentHeader(body_size=len(body), properties=properties),
        ContentBody(body),
    )
    written = b"".join(marshal(frame, raw.number) for frame in frames)
    assert written.count(well) == 1
    await raw.write_queue.put(ChannelFrame(written.replace(well, damaged), should_close=False, drain_future=None))


async def test_an_event_that_the_queue_has_no_handler_for_is_dead(
    consuming: Any, reader: Any, publisher: EventPublisher, channel: AbstractChannel, dead_letter: Any
) -> None:
    event = ProjectCreated(project_id=new_id(), name="Letters", created_by=new_id())
    async with consuming():
        await channel.default_exchange.publish(aio_pika.Message(event.to_bytes()), QUEUE)
        message = await dead_letter()

    assert message.headers["x-alta-reason"] == "unknown_event"
    assert reader.events == []


async def test_a_handler_that_takes_too_long_is_tried_again(
    consuming: Any, reader: Any, publisher: EventPublisher, a_request: Any
) -> None:
    reader.gate.clear()
    async with consuming(time_limit=timedelta(milliseconds=500)):
        await publisher.publish(a_request())
        await eventually(lambda: len(reader.events) == 2)
        reader.gate.set()
        await eventually(lambda: reader.finished)

    assert len(reader.finished) == 1


async def test_a_slice_of_work_is_no_failed_attempt(
    consuming: Any, reader: Any, publisher: EventPublisher, depth: Any, a_request: Any
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
