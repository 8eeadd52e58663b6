import asyncio

import pamqp.frame
import pytest
from pamqp import commands
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from alta_common.testing import eventually
from alta_outbox_relay.publisher import BrokerLostError, Publisher


def frame(kind: int, payload: bytes, end: bytes = b"\xce", channel: int = 1) -> bytes:
    return bytes((kind,)) + channel.to_bytes(2, "big") + len(payload).to_bytes(4, "big") + payload + end


def method(class_id: int, method_id: int, arguments: bytes = b"") -> bytes:
    return class_id.to_bytes(2, "big") + method_id.to_bytes(2, "big") + arguments


ACK = method(60, 80, (1).to_bytes(8, "big") + b"\0")
NOISE = {
    "another protocol": b"AMQP\x00\x01\x00\x00",
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "nothing but zeros": bytes(100),
    "a frame of four gigabytes": b"\x01\x00\x01\xff\xff\xff\xff" + b"x" * 100,
    "an ack without an end": frame(1, ACK, end=b"\0"),
    "a method without an end": frame(1, method(10, 61), end=b"\0", channel=0),
    "a method that does not exist": frame(1, method(99, 99)),
    "a return that is cut short": frame(1, method(60, 50, b"\x01\x38")),
    "a close that is no text": frame(1, method(10, 50, b"\x01\x38\x02\xff\xfe\0\0\0\0"), channel=0),
    "tables in tables": frame(1, method(10, 10, b"\0\x09" + b"\x00\x01\x00\x00\x01aF" * 3000), channel=0),
    "an ack of what was not sent": pamqp.frame.marshal(commands.Basic.Ack(4), 1),
    "an ack of all up to what was not sent": pamqp.frame.marshal(commands.Basic.Ack(2**60, True), 1),
    "a nack of what was not sent": pamqp.frame.marshal(commands.Basic.Nack(4), 1),
    "content of nothing": pamqp.frame.marshal(ContentHeader(body_size=5), 1),
    "an answer to no question": pamqp.frame.marshal(commands.Channel.OpenOk(), 1),
    "a delivery": pamqp.frame.marshal(commands.Basic.Deliver("tag", 1, False, "x", "y"), 1),
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE.keys())
async def test_noise_ends_the_connection_and_nothing_else(
    scripted, run_publisher, make_events, heard, noise: bytes
) -> None:
    scripted.confirms = False
    async with run_publisher(scripted.url) as publisher:
        publisher.send(make_events(3), heard)
        (peer,) = scripted.publishers
        await eventually(lambda: len(peer.messages) == 3)

        peer.send_raw(pamqp.frame.marshal(commands.Basic.Ack(1), 1) + noise)

        await eventually(lambda: heard.count == 3)
        assert (heard.confirmed_numbers, heard.lost_numbers) == ([1], [2, 3])
        await eventually(lambda: len(scripted.publishers) == 2 and publisher.ready.is_set())
        assert publisher.room == 1000


async def test_frames_arrive_in_any_pieces(scripted, run_publisher, make_events, heard) -> None:
    scripted.confirms = False
    async with run_publisher(scripted.url) as publisher:
        publisher.send(make_events(4), heard)
        (peer,) = scripted.publishers
        await eventually(lambda: len(peer.messages) == 4)
        said = (commands.Basic.Ack(2, True), commands.Basic.Nack(3), commands.Basic.Ack(4))

        for octet in b"".join(pamqp.frame.marshal(one, 1) for one in said):
            peer.send_raw(bytes((octet,)))
            await asyncio.sleep(0)
        await eventually(lambda: heard.count == 4)

    assert (heard.confirmed_numbers, heard.refused_numbers) == ([1, 2, 4], [3])


@pytest.mark.parametrize(
    ("ending", "channel"),
    [
        (commands.Channel.Close(404, "NOT_FOUND - no exchange", 60, 40), 1),
        (commands.Connection.Close(320, "CONNECTION_FORCED - by an operator", 0, 0), 0),
    ],
)
async def test_what_the_broker_closes_is_answered_and_made_again(
    scripted, run_publisher, make_events, heard, ending, channel: int
) -> None:
    scripted.confirms = False
    with capture_logs() as logs:
        async with run_publisher(scripted.url) as publisher:
            rooms: list[int] = []
            publisher.when_room(lambda: rooms.append(publisher.room))
            publisher.send(make_events(5), heard)
            (peer,) = scripted.publishers
            await eventually(lambda: len(peer.messages) == 5)

            peer.send(commands.Basic.Ack(2))
            peer.send(ending, channel)

            await eventually(lambda: heard.count == 5)
            assert (heard.confirmed_numbers, heard.lost_numbers) == ([2], [1, 3, 4, 5])
            assert 0 in rooms
            with pytest.raises(BrokerLostError):
                publisher.send(make_events(1), heard)
            with pytest.raises(BrokerLostError):
                await publisher.check()
            await eventually(publisher.ready.is_set)
            await publisher.check()
            assert rooms[-1] == 1000
    closed = commands.Channel.CloseOk if channel else commands.Connection.CloseOk
    assert peer.count(closed) == 1
    (lost,) = [line for line in logs if line["event"] == "broker.lost"][:1]
    assert ending.reply_text in lost["reason"]


async def test_a_hang_up_in_mid_frame_is_a_loss(scripted, run_publisher, make_events, heard) -> None:
    scripted.confirms = False
    async with run_publisher(scripted.url) as publisher:
        publisher.send(make_events(2), heard)
        (peer,) = scripted.publishers
        await eventually(lambda: len(peer.messages) == 2)

        peer.send_raw(pamqp.frame.marshal(commands.Basic.Ack(1), 1)[:-5])
        peer.hang_up()

        await eventually(lambda: heard.lost_numbers == [1, 2])
        await eventually(publisher.ready.is_set)


async def test_a_broker_that_falls_silent_is_lost(scripted, run_publisher, make_events, heard) -> None:
    # Not shorter: whoever is kept from running for so long has heard nothing either.
    scripted.tune(heartbeat=2)
    scripted.answers[Heartbeat] = Heartbeat()
    scripted.confirms = False
    async with run_publisher(scripted.url) as publisher:
        publisher.send(make_events(2), heard)
        (peer,) = scripted.publishers
        # As long as it is heard it stays, however long a confirm takes.
        await eventually(lambda: peer.beats >= 5)
        assert heard.count == 0

        del scripted.answers[Heartbeat]
        await eventually(lambda: heard.lost_numbers == [1, 2])
        await eventually(peer.gone.is_set)


async def test_who_is_told_to_stop_at_any_moment_stops(make_scripted) -> None:
    # In steps of the event loop from the start on; after about a thousand it is connected. In one of ten moments the
    # client library that declares takes the cancellation for its own.
    for steps in range(0, 1100, 21):
        async with make_scripted().listening() as broker:
            running = asyncio.create_task(Publisher(broker.url).run())
            for _ in range(steps):
                await asyncio.sleep(0)
            running.cancel()

            done, _ = await asyncio.wait({running}, timeout=30)

            assert done, f"told after {steps} steps, it goes on"
            assert running.cancelled()


async def test_its_own_end_is_an_orderly_one(scripted, run_publisher, make_events, heard) -> None:
    scripted.confirms = False
    async with run_publisher(scripted.url) as publisher:
        publisher.send(make_events(1), heard)
        (peer,) = scripted.publishers
        await eventually(lambda: len(peer.messages) == 1)

    assert heard.lost_numbers == [1]
    assert peer.count(commands.Connection.Close) == 1
    assert REGISTRY.get_sample_value("alta_outbox_connected") == 0


async def test_nothing_is_sent_before_it_is_connected(make_event, heard) -> None:
    publisher = Publisher("amqp://127.0.0.1:1/")

    assert publisher.room == 0
    with pytest.raises(BrokerLostError):
        publisher.send([make_event()], heard)
    assert heard.count == 0
