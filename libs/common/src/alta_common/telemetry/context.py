"""What is true of the work at hand: its correlation id, the caller's address, its place in a trace.

All of it lives in context variables, so that logs, events and audit rows find it without being handed it.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
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


def current_place() -> tuple[str, str] | None:
    """Return the present trace's and span's ids, or None outside of any trace."""
    context = _present()
    return (trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)) if context else None


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


# Version, trace, span, flags (W3C Trace Context, section 3.2); later versions may have more behind them.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_VERSION, _FIRST_VERSION = "ff", "00"


def span_context_of(traceparent: str) -> SpanContext | None:
    """Return what a `traceparent` names, for a link; None when it is malformed."""
    # Read here, and not by the propagator: it takes four times as long, and that at every message.
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == _NO_VERSION or (version == _FIRST_VERSION and more):
        return None
    context = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return context if context.is_valid else None


class _PresentSpan(AbstractContextManager[Span]):
    """What `trace.use_span` is, without its generators: they cost a third of a span."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> Span:
        self._token = context_api.attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        context_api.detach(self._token)
        # A cancellation is no error, as OpenTelemetry sees it as well.
        if isinstance(error, Exception):
            self._span.record_exception(error)
            self._span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        self._span.end()


def span(
    name: str,
    *,
    traceparent: str | None = None,
    tracestate: str | None = None,
    links: Sequence[str | SpanContext] = (),
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: dict[str, str | int | float | bool] | None = None,
) -> AbstractContextManager[Span]:
    """Begin a span, which is the present one inside the block; an exception that leaves the block is recorded on it.

    With `traceparent` the span continues that trace (a malformed one is ignored and a new trace begins, as W3C asks);
    without it the span is a child of the present one. `links` are traceparents or span contexts.
    """
    contexts = [span_context_of(link) if isinstance(link, str) else link for link in links]
    started = _tracer.start_span(
        name,
        context=None if traceparent is None else _parent(traceparent, tracestate),
        kind=kind,
        attributes=attributes,
        links=[Link(context) for context in contexts if context],
    )
    return _PresentSpan(started)


def _parent(traceparent: str, tracestate: str | None) -> Context:
    if tracestate:
        return _propagator.extract({"traceparent": traceparent, "tracestate": tracestate})
    context = span_context_of(traceparent)
    # An empty context, and not the present one: a new trace begins.
    return Context() if context is None else trace.set_span_in_context(NonRecordingSpan(context), Context())
