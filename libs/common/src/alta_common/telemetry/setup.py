"""Telemetry of a process: traces over OTLP, JSON logs. Metrics are pulled (`alta_common.http.health`)."""

import os
import socket
from dataclasses import dataclass

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from alta_common.settings import ServiceSettings
from alta_common.telemetry.logs import setup_logs

_FLUSH_MILLIS = 5_000


@dataclass(slots=True)
class Telemetry:
    """What a process must give back before it ends."""

    service: str
    _exporting: SpanProcessor | None

    def shutdown(self) -> None:
        """Send what is still held, waiting five seconds at most."""
        if self._exporting is not None:
            self._exporting.force_flush(_FLUSH_MILLIS)
            self._exporting.shutdown()


def setup_telemetry(settings: ServiceSettings, service: str, version: str = "0.1.0") -> Telemetry:
    """Set up logs and traces of this process. Call it once, first thing in `main`.

    Without an OTLP endpoint spans are still made, so that logs and events carry trace ids; nothing leaves the process.
    """
    name = settings.otel_service_name or service
    setup_logs(name, settings.log_level)
    propagate.set_global_textmap(TraceContextTextMapPropagator())
    provider = _tracer_provider(name, version, settings.otel_traces_sampler_arg)
    exporting: SpanProcessor | None = None
    endpoint = settings.otel_exporter_otlp_endpoint
    if endpoint:
        insecure = not endpoint.startswith("https://")
        exporting = BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=insecure, timeout=5))
        provider.add_span_processor(exporting)
    return Telemetry(name, exporting)


def _tracer_provider(service: str, version: str, share: float) -> TracerProvider:
    present = trace.get_tracer_provider()
    if isinstance(present, TracerProvider):
        # A process has one provider for good; tests build several services in one process.
        return present
    resource = Resource.create(
        {
            "service.name": service,
            "service.namespace": "alta",
            "service.version": version,
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        }
    )
    provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(share)))
    trace.set_tracer_provider(provider)
    return provider
