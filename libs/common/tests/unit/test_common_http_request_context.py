import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY
from starlette.responses import StreamingResponse

from alta_common.http.app import create_api
from alta_common.settings import ServiceSettings
from alta_common.telemetry.context import client_address, correlation_id, current_trace_id
from alta_common.telemetry.setup import setup_telemetry

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def app() -> FastAPI:
    setup_telemetry(ServiceSettings(), "books")
    app = create_api("books")
    router = APIRouter(prefix="/v1/books")

    @router.get("/{book_id}")
    async def read(book_id: str) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"request": correlation_id(), "client": client_address(), "trace": current_trace_id()}

    @router.get("/{book_id}/text")
    async def text(book_id: str) -> StreamingResponse:
        async def pages() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"page"

        return StreamingResponse(pages())

    @router.get("/{book_id}/broken")
    async def broken(book_id: str) -> StreamingResponse:
        async def pages() -> AsyncIterator[bytes]:
            yield b"page"
            raise RuntimeError("the rest is lost")

        return StreamingResponse(pages())

    app.include_router(router)
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://books") as client:
        yield client


@pytest.fixture
def spans(app: FastAPI) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


@pytest.mark.parametrize("sent", ["abc", "a" * 128, "A-z_0.9"])
async def test_a_good_request_id_is_kept(client: httpx.AsyncClient, sent: str) -> None:
    answer = await client.get("/v1/books/1", headers={"X-Request-ID": sent})

    assert answer.headers["x-request-id"] == answer.json()["request"] == sent


@pytest.mark.parametrize("sent", ["", "a" * 129, "a b", 'a"b', "ä", "a\tb"])
async def test_a_bad_request_id_is_replaced(client: httpx.AsyncClient, sent: str) -> None:
    answer = await client.get("/v1/books/1", headers={"X-Request-ID": sent.encode()})

    assert answer.headers["x-request-id"] == answer.json()["request"] != sent
    assert len(answer.headers.get_list("x-request-id")) == 1


async def test_two_requests_at_once_keep_their_own_ids(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(client.get("/v1/books/1", headers={"X-Request-ID": f"r{number}"}) for number in range(20))
    )

    assert [answer.json()["request"] for answer in answers] == [f"r{number}" for number in range(20)]


async def test_the_clients_address_is_the_one_that_the_gateway_saw(client: httpx.AsyncClient) -> None:
    forwarded = await client.get("/v1/books/1", headers={"X-Forwarded-For": "203.0.113.9, 10.0.0.1"})
    nonsense = await client.get("/v1/books/1", headers={"X-Forwarded-For": "'; DROP TABLE"})

    assert forwarded.json()["client"] == "203.0.113.9"
    assert nonsense.json()["client"] == "127.0.0.1"


async def test_a_trace_is_continued_in_one_span_named_after_the_route(
    client: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    answer = await client.get("/v1/books/1", headers={"traceparent": TRACEPARENT})

    (span,) = spans.get_finished_spans()
    assert answer.json()["trace"] == TRACE
    assert span.name == "GET /v1/books/{book_id}"
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert dict(span.attributes or {})["http.response.status_code"] == 200


async def test_a_malformed_trace_begins_a_new_one(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/books/1", headers={"traceparent": "00-zz-1"})

    assert len(answer.json()["trace"]) == 32


async def test_a_request_is_one_line_of_log(client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]) -> None:
    await client.get("/v1/books/1/text?secret=x", headers={"X-Request-ID": "abc", "traceparent": TRACEPARENT})

    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (
        line.items()
        >= {
            "event": "http.request",
            "service": "books",
            "route": "/v1/books/{book_id}/text",
            "status": 200,
            "bytes": 12,
            "request_id": "abc",
            "trace_id": TRACE,
        }.items()
    )
    assert "secret" not in str(line)


async def test_durations_are_counted_by_route_and_never_by_path(client: httpx.AsyncClient) -> None:
    labels = {
        "http_request_method": "GET",
        "http_route": "/v1/books/{book_id}/text",
        "http_response_status_code": "200",
    }
    name = "http_server_request_duration_seconds_count"
    before = REGISTRY.get_sample_value(name, labels) or 0

    await client.get("/v1/books/1/text")
    await client.get("/v1/books/2/text")

    assert REGISTRY.get_sample_value(name, labels) == before + 2


async def test_an_answer_that_breaks_off_breaks_the_connection(client: httpx.AsyncClient) -> None:
    with pytest.raises(RuntimeError):
        await client.get("/v1/books/1/broken")
