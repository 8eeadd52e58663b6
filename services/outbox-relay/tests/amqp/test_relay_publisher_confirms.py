from pamqp import commands
from pamqp.header import ContentHeader
from prometheus_client import REGISTRY

from alta_common.ids import new_id
from alta_common.testing import eventually


def metric(name: str, schema: str) -> float:
    return REGISTRY.get_sample_value(name, {"schema": schema}) or 0.0


async def test_confirms_come_one_by_one_and_for_many(scripted, run_publisher, make_events, heard) -> None:
    scripted.confirms = False
    async with run_publisher(scripted.url, window=20) as publisher:
        events = make_events(10, schema="acks")
        publisher.send(events, heard)
        (peer,) = scripted.publishers
        await eventually(lambda: len(peer.messages) == 10)
        assert publisher.room == 10

        peer.send(commands.Basic.Ack(5))
        peer.send(commands.Basic.Ack(3, True))
        # Both mean nothing new.
        peer.send(commands.Basic.Ack(2))
        peer.send(commands.Basic.Ack(3, True))
        await eventually(lambda: heard.count == 4)
        assert heard.confirmed_numbers == [5, 1, 2, 3]
        assert publisher.room == 14

        peer.send(commands.Basic.Ack(9, True))
        peer.send(commands.Basic.Ack(0, True))
        await eventually(lambda: heard.count == 10)
        assert heard.confirmed_numbers == [5, 1, 2, 3, 4, 6, 7, 8, 9, 10]
        assert publisher.room == 20

    assert metric("alta_outbox_published_total", "acks") == 10
    assert metric("alta_outbox_confirm_seconds_count", "acks") == 10
    assert metric("alta_outbox_confirm_seconds_sum", "acks") > 0


async def test_nacks_refuse_one_or_many(scripted, run_publisher, make_events, heard) -> None:
    scripted.confirms = False
    async with run_publisher(scripted.url) as publisher:
        publisher.send(make_events(6, schema="nacks"), heard)
        (peer,) = scripted.publishers
        await eventually(lambda: len(peer.messages) == 6)

        peer.send(commands.Basic.Ack(1))
        peer.send(commands.Basic.Nack(4, True))
        peer.send(commands.Basic.Nack(6))
        peer.send(commands.Basic.Ack(5))
        await eventually(lambda: heard.count == 6)

    assert heard.confirmed_numbers == [1, 5]
    assert heard.refused_numbers == [2, 3, 4, 6]
    assert "nack" in heard.refusals[0].reason
    assert metric("alta_outbox_nacks_total", "nacks") == 4


async def test_what_comes_back_is_refused_by_its_ack_and_nothing_else_is(
    scripted, run_publisher, make_events, heard
) -> None:
    scripted.confirms = False
    async with run_publisher(scripted.url) as publisher:
        publisher.send(make_events(5, schema="returns", routing_key="projects.nobody.v1", body=b"x" * 5000), heard)
        (peer,) = scripted.publishers
        await eventually(lambda: len(peer.messages) == 5 and len(peer.messages[4].body) == 5000)

        peer.give_back(peer.messages[1])
        peer.give_back(peer.messages[3])
        peer.send(commands.Basic.Ack(4, True))
        peer.send(commands.Basic.Ack(5))
        await eventually(lambda: heard.count == 5)

    assert heard.confirmed_numbers == [1, 3, 5]
    assert heard.refused_numbers == [2, 4]
    assert heard.refusals[0].reason == "no queue hears projects.nobody.v1 at projects.events"
    assert metric("alta_outbox_returns_total", "returns") == 2


async def test_everything_of_a_message_is_on_the_wire(scripted, run_publisher, make_event, heard) -> None:
    scripted.tune(frame_max=4096)
    body = bytes(range(256)) * 40
    async with run_publisher(scripted.url) as publisher:
        publisher.send([make_event(body=body), make_event(headers={"long": "x" * 4096})], heard)
        await eventually(lambda: heard.count == 2)
        publisher.send([make_event(routing_key="projects.document.ocr_cancelled.v1")], heard)
        await eventually(lambda: heard.count == 3)
        (peer,) = scripted.publishers

    first, second = peer.messages
    assert first.body == body
    assert [len(piece) for piece in first.pieces] == [4088, 4088, 2064]
    assert first.publish.mandatory
    # Nobody may be there to hear a broadcast, and that is no fault.
    assert not second.publish.mandatory
    assert "bytes of headers are too many" in heard.faults[0].reason
    assert peer.count(commands.Connection.Close) == 1


async def test_who_sends_hears_of_its_own_events_only(scripted, run_publisher, make_event, heard) -> None:
    other = type(heard)()
    async with run_publisher(scripted.url) as publisher:
        publisher.send([make_event(id=1), make_event(id=2, exchange="unknown.events")], heard)
        publisher.send([make_event(id=3), make_event(id=4, exchange="unknown.events")], other)
        assert [failure.event.id for failure in heard.faults] == [2]
        await eventually(lambda: heard.count == other.count == 2)

    assert heard.confirmed_numbers == [1]
    assert other.confirmed_numbers == [3]


async def test_a_sink_may_send_what_comes_next(scripted, run_publisher, make_events, heard) -> None:
    events = make_events(200)
    async with run_publisher(scripted.url, window=7) as publisher:

        def more() -> None:
            assert publisher.room >= 0
            some, events[:] = events[: publisher.room], events[publisher.room :]
            if some:
                publisher.send(some, heard)

        publisher.when_room(more)
        more()
        await eventually(lambda: heard.count == 200)

    assert heard.confirmed_numbers == list(range(1, 201))


async def test_a_return_of_something_else_is_never_taken_for_a_confirm(
    scripted, run_publisher, make_events, heard
) -> None:
    scripted.confirms = False
    async with run_publisher(scripted.url) as publisher:
        publisher.send(make_events(2), heard)
        (peer,) = scripted.publishers
        await eventually(lambda: len(peer.messages) == 2)

        peer.send(commands.Basic.Return(312, "NO_ROUTE", "projects.events", "key"))
        peer.send(ContentHeader(0, 0, commands.Basic.Properties(message_id=str(new_id()))))
        peer.send(commands.Basic.Ack(2, True))
        await eventually(lambda: heard.count == 2)

    assert heard.lost_numbers == [1, 2]
