"""A whole process: it serves, stops cleanly, and sends its traces to a real OTLP receiver."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from concurrent import futures
from pathlib import Path

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from alta_common.testing import eventually
from alta_stack.processes import free_ports

PROGRAM = """
import asyncio
from pathlib import Path
from alta_common.http.app import create_api
from alta_common.http.health import InternalServer
from alta_common.http.server import serve
from alta_common.process import run
from alta_common.settings import HttpSettings, ServiceSettings, load
from alta_common.telemetry.setup import setup_telemetry

async def main():
    settings, http = load(ServiceSettings), load(HttpSettings)
    telemetry = setup_telemetry(settings, "books")
    app = create_api("books")

    @app.get("/books/{book_id}")
    async def read(book_id: str, until: Path | None = None) -> str:
        while until and not until.exists():
            await asyncio.sleep(0.01)
        return book_id

    internal = InternalServer(settings.internal_host, settings.internal_port)
    await internal.start()
    await serve(app, http.http_host, http.http_port, drain_seconds=60, on_drain=internal.mark_draining)
    await internal.stop()
    telemetry.shutdown()

run(main())
"""

WAITING = """
from alta_common.messaging.consumers import ConsumerApp
from alta_common.process import run, until_stopped

async def main():
    app = ConsumerApp("amqp://guest:guest@127.0.0.1:9/", "books", [], 1)
    print("waiting", flush=True)
    await app.start()
    await until_stopped()

run(main())
"""


class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """An OTLP collector that keeps what it gets."""

    def __init__(self) -> None:
        self.requests: list[trace_service_pb2.ExportTraceServiceRequest] = []

    def Export(self, request, _context):  # noqa: N802 - the name is gRPC's
        self.requests.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()

    def spans(self):
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def receiver():
    receiver = Receiver()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)
    receiver.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield receiver
    server.stop(None)


class Books:
    def __init__(self, process: asyncio.subprocess.Process, port: int, internal_port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.internal_url = f"http://127.0.0.1:{internal_port}"

    async def answers(self) -> bool:
        async with httpx.AsyncClient(timeout=60) as client:
            return (await client.get(f"{self.url}/books/1")).status_code == 200


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **more}


@pytest.fixture
async def books(receiver: Receiver, tmp_path: Path) -> AsyncIterator[Books]:
    port, internal_port = free_ports(2)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        env=environment(
            HTTP_PORT=str(port),
            INTERNAL_PORT=str(internal_port),
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{receiver.port}",
        ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    books = Books(process, port, internal_port)
    await eventually(books.answers)
    yield books
    if process.returncode is None:
        process.kill()
    await process.wait()


async def test_a_process_that_is_stopped_finishes_what_it_answers_and_exits_0(
    books: Books, receiver: Receiver, tmp_path: Path
) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        written = tmp_path / "written"
        slow = asyncio.create_task(client.get(f"{books.url}/books/7", params={"until": str(written)}))

        async def is_being_answered() -> bool:
            return "http_server_active_requests" in (
                metrics := (await client.get(f"{books.internal_url}/metrics")).text
            ) and ('http_server_active_requests{http_request_method="GET"} 1.0' in metrics)

        await eventually(is_being_answered)
        books.process.send_signal(signal.SIGTERM)

        async def is_draining() -> bool:
            return (await client.get(f"{books.internal_url}/health/ready")).status_code == 503

        await eventually(is_draining)
        written.touch()
        assert (await slow).json() == "7"

    assert await asyncio.wait_for(books.process.wait(), 60) == 0
    # The last span was sent on the way out.
    assert [span.name for span in receiver.spans()].count("GET /books/{book_id}") >= 2
    attributes = {one.key: one.value.string_value for one in receiver.requests[0].resource_spans[0].resource.attributes}
    assert attributes["service.name"] == "books"


async def test_an_answer_names_no_server_software(books: Books) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.get(f"{books.url}/books/1")

    assert "server" not in answer.headers


async def test_a_taken_port_is_named(books: Books) -> None:
    port = books.url.rpartition(":")[2]
    second = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        env=environment(HTTP_PORT=port, INTERNAL_PORT="0"),
        stderr=asyncio.subprocess.PIPE,
    )

    _, errors = await second.communicate()

    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port} (HTTP_PORT)" in errors.decode()


async def test_a_worker_that_still_waits_for_its_broker_stops_when_told() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WAITING, env=environment(), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()

    process.send_signal(signal.SIGTERM)
    await process.communicate()

    assert process.returncode == 0
