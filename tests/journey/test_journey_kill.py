"""Nothing accepted is lost or done twice, whatever is killed meanwhile."""

import asyncio
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import asyncpg
import pytest
from PIL import Image, ImageDraw

from alta_common.testing import eventually
from alta_stack.client import AltaClient, Kind
from journey_stack import Stack

pytestmark = pytest.mark.journey

UPLOADS = 20
# Enough are done that work is under way everywhere, and enough are left to be hurt.
DONE_BEFORE_KILL = 4


def page(number: int) -> bytes:
    """Return a small page image that says which one it is."""
    image = Image.new("L", (640, 200), 255)
    ImageDraw.Draw(image).text((30, 70), f"Delivery note number {1000 + number}", fill=0, font_size=40)
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


async def test_a_batch_survives_the_death_of_ocr_and_relay(stack: Stack, client: AltaClient, tmp_path: Path) -> None:
    project = await client.create_project("Killed in the middle")
    files = [tmp_path / f"note-{number}.png" for number in range(UPLOADS)]
    for number, file in enumerate(files):
        file.write_bytes(page(number))

    items = [await client.upload(project["id"], file) for file in files]
    await eventually(lambda: at_least_done(client, project["id"], DONE_BEFORE_KILL), within=timedelta(seconds=240))
    killed = {service: stack.kill(service) for service in ("ocr", "outbox-relay")}
    more = await client.upload(project["id"], late(tmp_path))
    finished = await asyncio.gather(*(client.wait_for(item, within_seconds=240) for item in [*items, more]))

    assert [item.status for item in finished] == ["completed"] * (UPLOADS + 1)
    assert all(stack.pid(service) != pid for service, pid in killed.items())
    texts = [await client.result_text(item) for item in finished]
    assert all(str(1000 + number) in text for number, text in enumerate(texts))
    assert await completions(stack, project["id"]) == {item.id: 1 for item in finished}


def late(folder: Path) -> Path:
    """Return a page that is uploaded while ocr and the relay are dead."""
    file = folder / "late.png"
    file.write_bytes(page(UPLOADS))
    return file


async def at_least_done(client: AltaClient, project_id: str, count: int) -> bool:
    """Say whether so many documents of a project are completed."""
    documents = await client.list_items(project_id, Kind.DOCUMENT)
    return sum(document.status == "completed" for document in documents) >= count


async def completions(stack: Stack, project_id: str) -> dict[str, int]:
    """Return how often the completion of each document of a project was taken in, by the audit trail."""
    connection = await asyncpg.connect(stack.read()["postgres_dsn"])
    try:
        rows = await connection.fetch(
            """
            SELECT subject_id::text AS id, count(*) AS times FROM projects.audit_log
            WHERE stream = $1::uuid AND action = 'document.completed' GROUP BY subject_id
            """,
            project_id,
        )
    finally:
        await connection.close()
    return {row["id"]: row["times"] for row in rows}
