"""What is true of the work at hand: its correlation id, the caller's address, its place in a trace.

All of it lives in context variables, so that logs, events and audit rows find it without being handed it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()
# A proxy until a provider is set, that provider's tracer from then on; asking for one each time costs 25 µs.
_tracer = trace.get_tracer("alta")


@dataclass(frozen=True, slots=True)
class _Work:
    correlation_id: str
    client_ip: str | None


_work: ContextVar[_Work | None] = ContextVar("alta_work", default=None)


def correlation_id() -> str | None:
    """Return the id that ties together everything one request caused, or None outside of any work."""
    work = _work.get()
    return work.correlation_id if work else None


def client_address() -> str | None:
    """Return the address of the client that asked, or None where no client did."""
    work = _work.get()
    return work.client_ip if work else None


@contextmanager
def bind_request(correlation_id: str, client_ip: str | None = None) -> Iterator[None]:
    """Tie what happens inside the block to one request (or to the event that a request caused)."""
    token = _work.set(_Work(correlation_id, client_ip))
    try:
        yield
    finally:
        _work.reset(token)


def _present() -> SpanContext | None:
    context = trace.get_current_span().get_span_context()
    return context if context.is_valid else None


def current_trace_id() -> str | None:
    """Return the present trace's id as 32 hex digits."""
    context = _present()
    return trace.format_trace_id(context.trace_id) if context else None


def current_span_id() -> str | None:
    """Return the present span's id as 16 hex digits."""
    context = _present()
    return trace.format_span_id(context.span_id) if context else None


def current_traceparent() -> str | None:
    """Return the present span as a W3C `traceparent`."""
    context = _present()
    return traceparent_of(context) if context else None


def traceparent_of(context: SpanContext) -> str:
    """Return a span's context as a W3C `traceparent` (version 00)."""
    flags = f"{context.trace_flags & TraceFlags.SAMPLED:02x}"
    return f"00-{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}-{flags}"


def span_context_of(traceparent: str) -> SpanContext | None:
    """Return what a `traceparent` names, for a link; None when it is malformed."""
    context = trace.get_current_span(_propagator.extract({"traceparent": traceparent})).get_span_context()
    return context if context.is_valid else None


@contextmanager
def span(
    name: str,
    *,
    traceparent: str | None = None,
    tracestate: str | None = None,
    links: Sequence[str | SpanContext] = (),
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: dict[str, str | int | float | bool] | None = None,
) -> Iterator[Span]:
    """Make a span the present one inside the block; an exception that leaves the block is recorded on it.

    With `traceparent` the span continues that trace (a malformed one is ignored and a new trace begins, as W3C asks);
    without it the span is a child of the present one. `links` are traceparents or span contexts.
    """
    parent = None
    if traceparent is not None:
        carrier = {"traceparent": traceparent}
        if tracestate:
            carrier["tracestate"] = tracestate
        parent = _propagator.extract(carrier)
    contexts = [span_context_of(link) if isinstance(link, str) else link for link in links]
    started = _tracer.start_span(
        name,
        context=parent,
        kind=kind,
        attributes=attributes,
        links=[Link(context) for context in contexts if context],
    )
    # Not `start_as_current_span`, which does the same behind one more generator, and costs a fifth more.
    with trace.use_span(started, end_on_exit=True):
        yield started
