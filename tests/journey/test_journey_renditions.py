"""What a client shows of a document while it is read and afterwards: live events, pages, the searchable PDF."""

import asyncio
from datetime import timedelta
from io import BytesIO

import pypdfium2
import pytest
from PIL import Image

from alta_common.testing import eventually
from alta_common.testing.texts import words_found
from alta_stack.client import AltaClient
from alta_stack.live import LiveEvent, follow
from journey_stack import SAMPLES

pytestmark = pytest.mark.journey

SCAN = "lease-agreement-scan.pdf"


async def test_a_scan_is_followed_seen_and_searched(client: AltaClient) -> None:
    project = await client.create_project("Followed")
    events: list[LiveEvent] = []

    async def keep() -> None:
        async for event in follow(client, project["id"]):
            events.append(event)  # noqa: PERF401  each as soon as it comes

    following = asyncio.create_task(keep())
    document = await client.upload(project["id"], SAMPLES / SCAN)
    await eventually(lambda: events and events[-1].item.has_ended, timedelta(seconds=240))
    following.cancel()
    page = await client.request("GET", f"{document.url}/pages/2/image", params={"width": 500})
    made = await client.request("GET", f"{document.url}/result", params={"format": "pdf"})

    whats = [event.what for event in events]
    assert (whats[0], whats[-1]) == ("queued", "completed")
    assert set(whats[1:-1]) <= {"processing", "progress"}
    assert whats[1:-1]
    assert [int(event.number) for event in events] == list(range(1, len(events) + 1))
    assert Image.open(BytesIO(page.content)).width == 500
    with pypdfium2.PdfDocument(made.content) as pdf:
        text = " ".join(sheet.get_textpage().get_text_range() for sheet in pdf)
    assert words_found((SAMPLES / "text" / SCAN).with_suffix(".txt").read_text(), text) >= 0.97
