"""The span of a publish, made when the publish is over: who does not trace pays nothing for it."""

from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, Status, StatusCode

from alta_common.telemetry.context import span_context_of
from alta_outbox_relay.event import PendingEvent

_tracer = trace.get_tracer("alta")
_SAMPLED = "-01"


def is_tracing() -> bool:
    """Say whether anybody hears of spans in this process."""
    # The SDK has no public question for it. One that keeps its processors elsewhere is taken to have some.
    processors = getattr(trace.get_tracer_provider(), "_active_span_processor", None)
    return processors is not None and getattr(processors, "_span_processors", True) != ()


def record(event: PendingEvent, started: int, ended: int, failure: str | None = None) -> None:
    """Tell of a publish between two times (nanoseconds since 1970), if the event's trace is sampled.

    The span belongs to the trace that the event was written in and links to its place there; the message carries that
    place unchanged, so that the consumer continues from the writer and not from us.
    """
    traceparent = event.headers.get("traceparent")
    if traceparent is None or not traceparent.endswith(_SAMPLED):
        return
    place = span_context_of(traceparent)
    if place is None:
        return
    span = _tracer.start_span(
        f"send {event.exchange}",
        context=trace.set_span_in_context(NonRecordingSpan(place)),
        kind=SpanKind.PRODUCER,
        attributes={
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "send",
            "messaging.destination.name": event.exchange,
            "messaging.rabbitmq.destination.routing_key": event.routing_key,
            "messaging.message.id": str(event.event_id),
        },
        links=[Link(place)],
        start_time=started,
    )
    if failure is not None:
        span.set_status(Status(StatusCode.ERROR, failure))
    span.end(ended)
