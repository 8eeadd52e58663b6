import asyncio

import pytest
from opentelemetry.trace import SpanKind

from alta_common.http.client import create_client
from alta_common.settings import ServiceSettings
from alta_common.telemetry.context import (
    bind_request,
    client_address,
    correlation_id,
    current_trace_id,
    current_traceparent,
    span,
    span_context_of,
)
from alta_common.telemetry.setup import setup_telemetry

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def _tracing() -> None:
    setup_telemetry(ServiceSettings(), "tests")


def test_outside_of_work_there_is_nothing_to_know() -> None:
    assert correlation_id() is None
    assert client_address() is None
    assert current_traceparent() is None


def test_work_ends_with_its_block() -> None:
    with bind_request("outer", "192.0.2.1"):
        with bind_request("inner"):
            assert (correlation_id(), client_address()) == ("inner", None)
        assert (correlation_id(), client_address()) == ("outer", "192.0.2.1")
    assert correlation_id() is None


async def test_tasks_inherit_the_work() -> None:
    async def ask() -> str | None:
        await asyncio.sleep(0)
        return correlation_id()

    with bind_request("abc"):
        task = asyncio.create_task(ask())

    assert await task == "abc"


def test_a_span_continues_the_trace_it_is_given() -> None:
    with span("step", traceparent=PARENT, kind=SpanKind.CONSUMER):
        traceparent = current_traceparent()

    assert traceparent is not None
    assert traceparent.startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert traceparent.endswith("-01")
    assert traceparent != PARENT


def test_a_span_without_one_is_a_child_of_the_present() -> None:
    with span("outer", traceparent=PARENT), span("inner"):
        assert current_trace_id() == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize("malformed", ["", "00-1-2-3", "x" * 55, "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_malformed_one_begins_a_new_trace(malformed: str) -> None:
    with span("step", traceparent=malformed):
        assert current_trace_id() not in {None, "0" * 32}

    assert span_context_of(malformed) is None


async def test_calls_pass_request_and_trace_on() -> None:
    async with create_client("http://127.0.0.1:9") as client:
        with bind_request("abc"), span("call", traceparent=PARENT):
            request = client.build_request("GET", "/")
            for hook in client.event_hooks["request"]:
                await hook(request)

    assert request.headers["x-request-id"] == "abc"
    assert request.headers["traceparent"].split("-")[1] == PARENT.split("-")[1]
