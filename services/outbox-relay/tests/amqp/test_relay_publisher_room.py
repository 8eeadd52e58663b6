import asyncio

import pytest
import uvloop
from pamqp import commands
from prometheus_client import REGISTRY

from alta_common.testing import eventually


async def test_no_more_than_the_window_is_unconfirmed(scripted, run_publisher, make_events, heard) -> None:
    scripted.confirms = False
    async with run_publisher(scripted.url, window=5) as publisher:
        rooms: list[int] = []
        publisher.when_room(lambda: rooms.append(publisher.room))
        publisher.send(make_events(3), heard)
        assert publisher.room == 2

        with pytest.raises(ValueError, match="room for 2"):
            publisher.send(make_events(3), heard)
        publisher.send(make_events(2), heard)
        assert publisher.room == 0

        (peer,) = scripted.publishers
        await eventually(lambda: len(peer.messages) == 5)
        peer.send(commands.Basic.Ack(2, True))
        await eventually(lambda: rooms == [2])


async def test_what_is_faulty_takes_no_room(scripted, run_publisher, make_events, heard) -> None:
    scripted.confirms = False
    async with run_publisher(scripted.url, window=5) as publisher:
        publisher.send(make_events(5, exchange="unknown.events"), heard)

        assert len(heard.faults) == 5
        assert publisher.room == 5


async def test_a_blocked_broker_is_sent_nothing_more(scripted, run_publisher, make_events, heard) -> None:
    scripted.confirms = False
    async with run_publisher(scripted.url) as publisher:
        publisher.send(make_events(2), heard)
        (peer,) = scripted.publishers
        await eventually(lambda: len(peer.messages) == 2)

        peer.send(commands.Connection.Blocked("low on memory"), 0)
        await eventually(lambda: publisher.room == 0)
        assert REGISTRY.get_sample_value("alta_outbox_blocked") == 1
        with pytest.raises(ValueError, match="room for 0"):
            publisher.send(make_events(1), heard)
        # What was sent before is confirmed all the same, and makes no room.
        peer.send(commands.Basic.Ack(1))
        await eventually(lambda: heard.count == 1)
        assert publisher.room == 0
        await publisher.check()

        rooms: list[int] = []
        publisher.when_room(lambda: rooms.append(publisher.room))
        peer.send(commands.Connection.Unblocked(), 0)
        await eventually(lambda: rooms == [999])
        assert REGISTRY.get_sample_value("alta_outbox_blocked") == 0


async def test_a_blocked_connection_that_ends_is_not_blocked_any_more(scripted, run_publisher) -> None:
    async with run_publisher(scripted.url) as publisher:
        (peer,) = scripted.publishers
        peer.send(commands.Connection.Blocked("low on disk"), 0)
        await eventually(lambda: publisher.room == 0)

        peer.hang_up()

        await eventually(lambda: publisher.room == 1000)
        assert REGISTRY.get_sample_value("alta_outbox_blocked") == 0


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_full_socket_leaves_no_room(make_scripted, run_publisher, make_events, heard, new_loop) -> None:
    async def story() -> None:
        async with make_scripted().listening() as broker, run_publisher(broker.url) as publisher:
            rooms: list[int] = []
            publisher.when_room(lambda: rooms.append(publisher.room))
            broker.reads.clear()
            events = make_events(400, body=b"x" * 65_536)
            sent = 0
            while publisher.room and sent < len(events):
                publisher.send(events[sent : sent + 10], heard)
                sent += 10
                # The socket is written to between our turns.
                await asyncio.sleep(0)
            assert publisher.room == 0
            assert sent < len(events)

            broker.reads.set()
            await eventually(lambda: heard.count == sent)
            assert len(heard.confirmed_events) == sent
            assert rooms[-1] == publisher.room == 1000

            broker.confirms = False
            publisher.send(events[:3], heard)
            (peer,) = broker.publishers
            await eventually(lambda: len(peer.messages) == sent + 3)
            peer.hang_up()
            await eventually(lambda: len(heard.lost_events) == 3)
            await eventually(publisher.ready.is_set)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(story())


async def test_who_wants_all_the_room_gets_it_in_turns(scripted, run_publisher, make_events, heard) -> None:
    async with run_publisher(scripted.url, window=10) as publisher:
        waiting = {"greedy": make_events(2000, schema="greedy"), "modest": make_events(30, schema="modest")}

        def feed(schema: str) -> None:
            some = waiting[schema][: publisher.room]
            del waiting[schema][: len(some)]
            if some:
                publisher.send(some, heard)

        publisher.when_room(lambda: feed("greedy"))
        publisher.when_room(lambda: feed("modest"))
        feed("greedy")

        await eventually(lambda: not waiting["modest"])
        assert len(waiting["greedy"]) > 1000
