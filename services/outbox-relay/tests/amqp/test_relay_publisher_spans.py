import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from pamqp import commands

from alta_common.telemetry.context import span_context_of
from alta_common.testing import eventually

SAMPLED = f"00-{'ab' * 16}-{'cd' * 8}-01"
UNSAMPLED = f"00-{'ab' * 16}-{'ef' * 8}-00"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


async def test_a_publish_is_a_span_of_a_sampled_trace(scripted, run_publisher, make_event, heard, spans) -> None:
    scripted.confirms = False
    events = [
        make_event(headers={"traceparent": SAMPLED}),
        make_event(headers={"traceparent": UNSAMPLED}),
        make_event(headers={"traceparent": "nonsense-01"}),
        make_event(headers={}),
    ]
    async with run_publisher(scripted.url) as publisher:
        publisher.send(events, heard)
        (peer,) = scripted.publishers
        await eventually(lambda: len(peer.messages) == 4)
        peer.send(commands.Basic.Ack(4, True))
        await eventually(lambda: len(heard.confirmed_events) == 4)

    (sent,) = spans.get_finished_spans()
    place = span_context_of(SAMPLED)
    assert place is not None
    assert (sent.name, sent.kind, sent.status.status_code) == (
        "send projects.events",
        SpanKind.PRODUCER,
        StatusCode.UNSET,
    )
    assert (sent.context.trace_id, sent.parent.span_id) == (place.trace_id, place.span_id)
    assert [link.context.span_id for link in sent.links] == [place.span_id]
    assert sent.attributes == {
        "messaging.system": "rabbitmq",
        "messaging.operation.type": "send",
        "messaging.destination.name": "projects.events",
        "messaging.rabbitmq.destination.routing_key": "projects.project.created.v1",
        "messaging.message.id": str(events[0].event_id),
    }
    assert sent.start_time < sent.end_time
    # The consumer continues from the writer.
    assert peer.messages[0].content.properties.headers["traceparent"] == SAMPLED


async def test_a_refused_publish_is_a_failed_span(scripted, run_publisher, make_event, heard, spans) -> None:
    scripted.confirms = False
    async with run_publisher(scripted.url) as publisher:
        publisher.send([make_event(headers={"traceparent": SAMPLED})], heard)
        (peer,) = scripted.publishers
        await eventually(lambda: len(peer.messages) == 1)
        peer.send(commands.Basic.Nack(1))
        await eventually(lambda: len(heard.refusals) == 1)

    (sent,) = spans.get_finished_spans()
    assert sent.status.status_code == StatusCode.ERROR
    assert "nack" in sent.status.description
