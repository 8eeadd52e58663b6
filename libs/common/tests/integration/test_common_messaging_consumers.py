"""How events are handled: once, with what belongs to them, as many at a time as asked for."""

from typing import Any

import pytest

from alta_common.contracts.identity import UserRegistered
from alta_common.contracts.projects import ProjectCreated
from alta_common.errors import InvalidError, UnavailableError
from alta_common.ids import new_id
from alta_common.messaging.failures import UnfinishedError
from alta_common.messaging.publisher import EventPublisher
from alta_common.telemetry.context import bind_request, current_trace_id, span
from alta_common.testing import eventually

QUEUE = "ocr_queue"


async def test_an_event_is_handled_once_and_leaves_nothing_behind(
    consuming: Any, reader: Any, publisher: EventPublisher, depth: Any, a_request: Any
) -> None:
    event = a_request()
    async with consuming():
        await publisher.publish(event)
        await eventually(lambda: reader.finished)

    assert [one.event_id for one in reader.finished] == [event.event_id]
    assert reader.finished[0].data() == event.data()
    assert await depth(QUEUE) == 0


async def test_request_and_trace_go_on_in_the_handler(
    consuming: Any, reader: Any, publisher: EventPublisher, a_request: Any
) -> None:
    async with consuming():
        with bind_request("req-7"), span("upload"):
            trace_id = current_trace_id()
            await publisher.publish(a_request())
        await eventually(lambda: reader.finished)

    assert reader.correlations == ["req-7"]
    assert reader.traces == [trace_id]


async def test_no_more_messages_are_handled_at_once_than_asked_for(
    consuming: Any, reader: Any, publisher: EventPublisher, a_request: Any
) -> None:
    reader.gate.clear()
    async with consuming(prefetch=3):
        for _ in range(8):
            await publisher.publish(a_request())
        await eventually(lambda: reader.busy == 3)
        reader.gate.set()
        await eventually(lambda: len(reader.finished) == 8)

    assert reader.busiest == 3


async def test_unfinished_work_goes_on_after_those_who_wait(
    consuming: Any, reader: Any, publisher: EventPublisher, depth: Any, a_request: Any
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


async def test_an_event_that_no_queue_hears_is_not_published(publisher: EventPublisher) -> None:
    class Unheard(UserRegistered):
        ROUTING_KEY = "identity.user.unheard.v1"

    with pytest.raises(UnavailableError):
        await publisher.publish(Unheard(user_id=new_id(), email="a@example.org", full_name="A"))


async def test_an_event_above_64_kib_is_refused(publisher: EventPublisher) -> None:
    with pytest.raises(InvalidError):
        await publisher.publish(ProjectCreated(project_id=new_id(), name="x" * 70_000, created_by=new_id()))
