from collections.abc import Mapping
from typing import Any

import aio_pika
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from alta_common.clock import utc_now
from alta_common.messaging.topology import declare_topology
from alta_common.outbox.headers import headers_of
from alta_common.testing import eventually
from alta_common.testing.plugin import CloseConnections


async def taken(url: str, queue_name: str) -> list[aio_pika.abc.AbstractIncomingMessage]:
    """Take everything out of a queue."""
    messages = []
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(queue_name)
        while message := await queue.get(no_ack=True, fail=False):
            messages.append(message)
    return messages


def without_count(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Without what a quorum queue adds: how often it has delivered."""
    return {name: value for name, value in headers.items() if name != "x-delivery-count"}


async def test_a_consumer_sees_everything(rabbitmq_url, run_publisher, make_event, heard) -> None:
    headers = {"cloudEvents:subject": "project/1", "grüße": "漢字 " * 100, "empty": "", "traceparent": "00-1-1-00"}
    full = make_event(body=b"\x00\xff" * 32_768, headers=headers, correlation_id="Ünï" * 40)
    bare = make_event(body=b"", headers={}, correlation_id=None, created_at=utc_now())
    async with run_publisher(rabbitmq_url) as publisher:
        publisher.send([full, bare], heard)
        await eventually(lambda: len(heard.confirmed_events) == 2)

    first, second = await taken(rabbitmq_url, "email_queue")
    assert without_count(first.headers) == headers_of(full, headers)
    assert first.headers["cloudEvents:subject"] == "project/1"
    assert (first.body, first.correlation_id) == (full.body, full.correlation_id)
    assert (first.exchange, first.routing_key) == ("projects.events", "projects.project.created.v1")
    assert first.content_type == "application/cloudevents+json"
    assert (first.delivery_mode, first.app_id, first.type) == (2, "projects", "PROJECT_CREATED")
    assert (first.message_id, first.timestamp) == (str(full.event_id), full.created_at.replace(microsecond=0))
    assert (second.body, without_count(second.headers), second.correlation_id) == (b"", headers_of(bare, {}), None)


async def test_what_no_queue_hears_comes_back(rabbitmq_url, run_publisher, make_event, heard) -> None:
    before = REGISTRY.get_sample_value("alta_outbox_returns_total", {"schema": "unheard"}) or 0
    events = [
        make_event(id=1, schema="unheard"),
        make_event(id=2, schema="unheard", routing_key="projects.nobody.v1"),
        make_event(id=3, schema="unheard", routing_key="projects.nobody.v2", body=b"x" * 60_000),
        # Processes hear this one, if there are any.
        make_event(id=4, schema="unheard", routing_key="projects.document.ocr_cancelled.v1"),
        make_event(id=5, schema="unheard"),
    ]
    async with run_publisher(rabbitmq_url) as publisher:
        publisher.send(events, heard)
        await eventually(lambda: heard.count == 5)

    assert sorted(heard.confirmed_numbers) == [1, 4, 5]
    assert {(one.event.id, one.reason) for one in heard.refusals} == {
        (2, "no queue hears projects.nobody.v1 at projects.events"),
        (3, "no queue hears projects.nobody.v2 at projects.events"),
    }
    assert REGISTRY.get_sample_value("alta_outbox_returns_total", {"schema": "unheard"}) == before + 2


async def test_a_queue_of_another_kind_holds_up_none_of_the_others(
    rabbitmq_url, run_publisher, make_event, heard
) -> None:
    async with await aio_pika.connect(rabbitmq_url) as connection:
        await (await connection.channel()).declare_queue("email_queue", durable=True, arguments={"x-max-length": 5})

    with capture_logs() as logs:
        async with run_publisher(rabbitmq_url) as publisher:
            publisher.send([make_event(id=1)], heard)
            publisher.send([make_event(id=2, routing_key="projects.webhook.requested.v1")], heard)
            await eventually(lambda: heard.count == 2)

    (conflict,) = [line for line in logs if line["event"] == "broker.topology_conflict"]
    assert "email_queue" in conflict["detail"]
    # What only that queue would hear comes back, and is tried again; declaring changes nothing of what is there.
    assert (heard.refused_numbers, heard.confirmed_numbers) == ([1], [2])


async def test_what_a_full_queue_refuses_is_refused(rabbitmq_url, run_publisher, make_events, heard) -> None:
    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
        queue = await channel.declare_queue("small", durable=True, arguments=arguments)
        await declare_topology(rabbitmq_url)
        await queue.bind("projects.events", "projects.small.v1")

        async with run_publisher(rabbitmq_url) as publisher:
            publisher.send(make_events(20, routing_key="projects.small.v1"), heard)
            await eventually(lambda: heard.count == 20)

    assert heard.confirmed_numbers[:1] == [1]
    assert heard.refusals
    assert "nack" in heard.refusals[0].reason


async def test_a_stream_of_events_goes_through_a_small_window(rabbitmq_url, run_publisher, make_events, heard) -> None:
    events = make_events(3000)
    waiting = list(events)
    async with run_publisher(rabbitmq_url, window=50) as publisher:

        def more() -> None:
            some, waiting[:] = waiting[: publisher.room], waiting[publisher.room :]
            if some:
                publisher.send(some, heard)

        publisher.when_room(more)
        more()
        await eventually(lambda: heard.count == 3000)
        assert publisher.room == 50

    assert {event.event_id for event in heard.confirmed_events} == {event.event_id for event in events}


async def test_each_event_is_confirmed_or_lost_when_connections_are_closed(
    rabbitmq_url, run_publisher, make_events, heard, close_broker_connections: CloseConnections
) -> None:
    events = make_events(1000, body=b"x" * 1000)
    with capture_logs() as logs:

        async def lost_again(times: int) -> bool:
            # The broker lists a connection some time after it takes its messages.
            await close_broker_connections()
            return len([line for line in logs if line["event"] == "broker.lost"]) >= times

        async with run_publisher(rabbitmq_url, window=500) as publisher:
            publisher.send(events[:500], heard)
            await eventually(lambda: lost_again(1))
            await eventually(lambda: publisher.room == 500)
            assert heard.count == 500

            publisher.send(events[500:], heard)
            await eventually(lambda: lost_again(2))
            await eventually(lambda: publisher.room == 500)

    assert heard.count == 1000
    known = {event.id for event in heard.confirmed_events} | {event.id for event in heard.lost_events}
    assert known == set(range(1, 1001))
