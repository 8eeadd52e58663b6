from datetime import timedelta

import orjson
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from alta_common.clock import utc_now
from alta_common.ids import new_id
from alta_common.outbox import Outbox, OutboxWakeup
from alta_common.telemetry.context import bind_request, current_traceparent, span, span_context_of
from alta_common.testing import eventually


async def test_events_of_an_aggregate_arrive_in_order(relay, writer, observed) -> None:
    projects = [new_id() for _ in range(20)]
    for number in range(10):
        await writer.write(*(writer.event(f"{number}", project) for project in projects))

    await eventually(writer.is_empty)

    envelopes = [orjson.loads(message.body) for message in await observed.take()]
    assert len(envelopes) == 200
    for project in projects:
        names = [one["data"]["name"] for one in envelopes if one["partitionkey"] == str(project)]
        assert names == [str(number) for number in range(10)]
    assert set(await writer.states()) == {"COMPLETED"}


async def test_a_message_is_what_was_written(relay, writer, observed) -> None:
    event = writer.event()

    with bind_request("request-5"):
        await writer.write(event)
    await eventually(writer.is_empty)

    (message,) = await observed.take()
    assert message.body == event.to_bytes(correlation_id="request-5")
    assert message.content_type == "application/cloudevents+json"
    assert message.delivery_mode == 2
    assert (message.message_id, message.type) == (str(event.event_id), "PROJECT_CREATED")
    assert (message.correlation_id, message.headers["cloudEvents:id"]) == ("request-5", str(event.event_id))


@pytest.fixture
def spans() -> InMemorySpanExporter:
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


async def test_the_trace_goes_on_through_the_relay(relay, writer, observed, spans) -> None:
    with span("upload"):
        written = current_traceparent()
        await writer.write(writer.event())
    await eventually(writer.is_empty)

    (message,) = await observed.take()
    assert message.headers["traceparent"] == orjson.loads(message.body)["traceparent"] == written
    (sent,) = [one for one in spans.get_finished_spans() if one.name == "send projects.events"]
    context = span_context_of(written)
    assert sent.context.trace_id == context.trace_id
    assert [link.context.span_id for link in sent.links] == [context.span_id]


async def test_a_commit_wakes_the_relay(run_relay, tables, engine, writer, observed) -> None:
    wakeup = OutboxWakeup(engine, "projects")
    writer.outbox = Outbox("projects", wakeup)

    async with run_relay(poll_seconds=3600) as relay:
        await eventually(lambda: relay.serving)
        await writer.write(writer.event())
        await eventually(writer.is_empty)

    await wakeup.aclose()


async def test_a_scheduled_event_waits_for_its_time_and_holds_up_nobody(relay, writer, observed) -> None:
    project = new_id()
    await writer.write(writer.event("later", project), deliver_at=utc_now() + timedelta(hours=1))
    await writer.write(writer.event("now", project))

    await eventually(lambda: _states(writer, ["PENDING", "COMPLETED"]))
    assert await observed.names() == ["now"]

    await writer.superuser.execute("UPDATE projects.outbox_pending SET due_at = now()")
    await eventually(lambda: _names(observed, ["now", "later"]))


async def test_nothing_that_is_written_after_its_time_overtakes_a_scheduled_event(
    run_relay, tables, engine, writer, observed
) -> None:
    wakeup = OutboxWakeup(engine, "projects")
    writer.outbox = Outbox("projects", wakeup)
    project = new_id()

    async with run_relay(poll_seconds=3600):
        # Until this has gone out, the relay was still connecting. It has to know of what is scheduled before its time.
        await writer.write(writer.event("first"))
        await eventually(lambda: _names(observed, ["first"]))
        moment = utc_now() + timedelta(seconds=3)
        await writer.write(writer.event("scheduled", project), deliver_at=moment)
        await writer.write(writer.event("before", project))
        await eventually(lambda: utc_now() > moment)
        await writer.write(writer.event("after", project))
        await eventually(writer.is_empty)

    assert await observed.names() == ["first", "before", "scheduled", "after"]
    await wakeup.aclose()


async def test_a_replayed_event_is_published_again(relay, writer, observed) -> None:
    await writer.write(writer.event("first"))
    await writer.write(writer.event("second"))
    await eventually(writer.is_empty)

    await writer.superuser.execute("SELECT projects.outbox_replay(array(SELECT id FROM projects.outbox_event))")

    await eventually(lambda: _names(observed, ["first", "second", "first", "second"]))


async def test_what_has_waited_for_days_goes_out_in_its_place(relay, writer, observed) -> None:
    project, days_ago = new_id(), utc_now() - timedelta(days=3)

    for number in range(6):
        moment = days_ago if number % 2 else utc_now()
        await writer.write_raw(name=f"{number}", aggregate_id=project, created_at=moment)
    await writer.superuser.execute("SELECT pg_notify('alta_outbox', 'projects')")

    await eventually(lambda: _names(observed, [f"{number}" for number in range(6)]))
    await eventually(writer.is_empty)


async def test_a_late_commit_with_an_early_id_is_not_passed_over(relay, writer, observed) -> None:
    async with writer.sessions() as slow:
        await writer.outbox.add(slow, writer.event("slow"))
        for number in range(3):
            await writer.write(writer.event(f"quick {number}"))
        await eventually(lambda: _count(observed, 3))
        # Long enough for the relay to think about its marks, twice.
        started = utc_now()
        await eventually(lambda: utc_now() - started > timedelta(seconds=2.5))
        await slow.commit()

    await eventually(writer.is_empty)
    assert (await observed.names())[-1] == "slow"


async def _states(writer, wanted: list[str]) -> bool:
    return await writer.states() == wanted


async def _names(observed, wanted: list[str]) -> bool:
    return await observed.names() == wanted


async def _count(observed, wanted: int) -> bool:
    return len(await observed.take()) == wanted
