"""One trace covers an upload, from the client's request to the last consumer."""

import secrets

import pytest

from alta_common.testing import eventually
from alta_stack.client import AltaClient, Kind
from journey_stack import SAMPLES
from otlp import SeenSpan, TraceReceiver

pytestmark = pytest.mark.journey

CALLER_SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("sample", "kind", "engine"),
    [
        ("invoice-photo.jpg", Kind.DOCUMENT, "ocr"),
        ("site-visit-note.wav", Kind.VOICE_SAMPLE, "transcription"),
    ],
)
async def test_one_trace_covers_an_upload(
    client: AltaClient, traces: TraceReceiver, sample: str, kind: Kind, engine: str
) -> None:
    trace_id = secrets.token_hex(16)
    project = await client.create_project("Traced")

    item = await client.upload(
        project["id"], SAMPLES / sample, kind, headers={"traceparent": f"00-{trace_id}-{CALLER_SPAN}-01"}
    )
    await client.wait_for(item)

    expected = {"gateway", "projects", "outbox-relay", engine, "projects-worker"}
    await eventually(lambda: expected <= traces.services_of(trace_id))
    # A span is exported when it ends, so a parent may come after its children.
    await eventually(lambda: not orphans(traces, trace_id))
    # The relay passes the stored context on unchanged: nobody continues from its own span.
    spans = [span for span in traces.spans if span.trace_id == trace_id]
    relayed = {span.span_id for span in spans if span.service == "outbox-relay"}
    assert [span for span in spans if span.parent_id in relayed] == []


def orphans(traces: TraceReceiver, trace_id: str) -> list[SeenSpan]:
    """Return the spans of a trace whose parent nobody has exported."""
    spans = [span for span in traces.spans if span.trace_id == trace_id]
    known = {span.span_id for span in spans} | {CALLER_SPAN}
    return [span for span in spans if span.parent_id not in known]
