"""A collector that takes traces over OTLP and forgets them, in a process of its own: prints its port, then serves."""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)


class Sink(TraceServiceServicer):
    """Answers every export with thanks."""

    def Export(  # noqa: N802 - the protocol's own name
        self, _request: ExportTraceServiceRequest, _context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        """Take what comes."""
        return ExportTraceServiceResponse()


def main() -> None:
    """Serve until standard input ends, which it does with whoever started this."""
    server = grpc.server(ThreadPoolExecutor(1))
    add_TraceServiceServicer_to_server(Sink(), server)  # type: ignore[no-untyped-call] # generated without types
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
