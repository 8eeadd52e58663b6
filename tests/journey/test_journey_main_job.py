"""The main job as a client does it: documents and recordings go in, text comes out."""

import pytest

from alta_common.testing.texts import wer, words_found
from alta_stack.client import AltaClient, Kind
from journey_stack import SAMPLES

pytestmark = pytest.mark.journey


@pytest.mark.parametrize(
    ("sample", "pages", "least"),
    [("lease-agreement-scan.pdf", 3, 0.97), ("invoice-photo.jpg", 1, 0.97), ("quarterly-report.pdf", 2, 0.99)],
)
async def test_a_document_comes_back_as_text(client: AltaClient, sample: str, pages: int, least: float) -> None:
    project = await client.create_project("Documents")

    document = await client.wait_for(await client.upload(project["id"], SAMPLES / sample))
    text = await client.result_text(document)
    result = await client.result(document)

    assert document.status == "completed"
    assert document.data["pages"] == len(result["pages"]) == pages
    assert document.data["progress"] == {"done": pages, "total": pages, "unit": "page"}
    assert result["text"] == text
    assert words_found(truth(sample), text) >= least


@pytest.mark.parametrize("sample", ["site-visit-note.wav", "support-call.ogg"])
async def test_a_recording_comes_back_as_a_transcript(client: AltaClient, sample: str) -> None:
    project = await client.create_project("Recordings")

    recording = await client.wait_for(await client.upload(project["id"], SAMPLES / sample, Kind.VOICE_SAMPLE))
    text = await client.result_text(recording)
    result = await client.result(recording)

    assert recording.status == "completed"
    assert recording.data["duration_ms"] == result["duration_ms"] > 0
    times = [word["start_ms"] for segment in result["segments"] for word in segment["words"]]
    assert times == sorted(times)
    assert wer(truth(sample), text) <= 0.15


def truth(sample: str) -> str:
    """Return what a sample says."""
    return (SAMPLES / "text" / sample).with_suffix(".txt").read_text()
