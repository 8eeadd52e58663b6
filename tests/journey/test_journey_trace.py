"""One trace covers an upload, from the client's request to the last consumer."""

from datetime import timedelta

import pytest

from alta_common.testing import eventually
from alta_stack.client import AltaClient
from journey_stack import SAMPLES
from otlp import SeenSpan, TraceReceiver

pytestmark = pytest.mark.journey

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER_SPAN = "00f067aa0ba902b7"


async def test_one_trace_covers_an_upload(client: AltaClient, traces: TraceReceiver) -> None:
    project = await client.create_project("Traced")

    document = await client.upload(
        project["id"], SAMPLES / "invoice-photo.jpg", headers={"traceparent": f"00-{TRACE_ID}-{CALLER_SPAN}-01"}
    )
    await client.wait_for(document)

    expected = {"gateway", "projects", "outbox-relay", "ocr", "projects-worker"}
    await eventually(lambda: expected <= traces.services_of(TRACE_ID), within=timedelta(seconds=30))
    # A span is exported when it ends, so a parent may come after its children.
    await eventually(lambda: not orphans(traces), within=timedelta(seconds=30))
    # The relay passes the stored context on unchanged: nobody continues from its own span.
    spans = [span for span in traces.spans if span.trace_id == TRACE_ID]
    relayed = {span.span_id for span in spans if span.service == "outbox-relay"}
    assert [span for span in spans if span.parent_id in relayed] == []


def orphans(traces: TraceReceiver) -> list[SeenSpan]:
    """Return the spans of our trace whose parent nobody has exported."""
    spans = [span for span in traces.spans if span.trace_id == TRACE_ID]
    known = {span.span_id for span in spans} | {CALLER_SPAN}
    return [span for span in spans if span.parent_id not in known]
