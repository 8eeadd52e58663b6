"""A real OTLP/gRPC receiver: what services export arrives here as a collector would see it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class SeenSpan:
    """A span as it arrived."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    linked_trace_ids: tuple[str, ...]


@dataclass
class TraceReceiver:
    """Keeps every span that services send."""

    endpoint: str
    spans: list[SeenSpan] = field(default_factory=list)

    def services_of(self, trace_id: str) -> set[str]:
        """Return the services that took part in a trace, or link to it."""
        return {s.service for s in self.spans if s.trace_id == trace_id or trace_id in s.linked_trace_ids}

    def export(self, request: ExportTraceServiceRequest, _context: object) -> ExportTraceServiceResponse:
        for resource_spans in request.resource_spans:
            attributes = {a.key: a.value.string_value for a in resource_spans.resource.attributes}
            for scope in resource_spans.scope_spans:
                self.spans.extend(
                    SeenSpan(
                        service=attributes.get("service.name", ""),
                        name=span.name,
                        kind=span.kind,
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent_id=span.parent_span_id.hex(),
                        linked_trace_ids=tuple(link.trace_id.hex() for link in span.links),
                    )
                    for span in scope.spans
                )
        return ExportTraceServiceResponse()


@contextmanager
def trace_receiver() -> Iterator[TraceReceiver]:
    """Serve the OTLP trace service on a free loopback port."""
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    receiver = TraceReceiver(endpoint=f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    handler = grpc.unary_unary_rpc_method_handler(
        receiver.export,
        request_deserializer=ExportTraceServiceRequest.FromString,
        response_serializer=ExportTraceServiceResponse.SerializeToString,
    )
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
    server.start()
    try:
        yield receiver
    finally:
        server.stop(grace=1).wait()
