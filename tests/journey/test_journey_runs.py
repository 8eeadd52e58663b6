"""Runs that are stopped and begun again, through the gateway."""

from datetime import timedelta
from io import BytesIO
from itertools import cycle, islice
from pathlib import Path

import httpx
import pytest
from PIL import Image, ImageDraw
from prometheus_client.parser import text_string_to_metric_families
from pypdf import PdfWriter

from alta_common.testing import eventually
from alta_stack.client import AltaClient, Item, ProblemError
from journey_stack import Stack

pytestmark = pytest.mark.journey

LONG_PAGES = 300
PATIENCE = timedelta(seconds=240)


def page(words: str) -> Image.Image:
    """Return a scanned page."""
    image = Image.new("L", (1000, 1400), 255)
    draw = ImageDraw.Draw(image)
    for line in range(30):
        draw.text((60, 60 + 40 * line), f"{words}, line {line + 1} of this page", fill=0, font_size=24)
    return image


def scan(path: Path, pages: int) -> Path:
    """Write a TIFF of so many pages and return its path."""
    drawn = [page(f"Register of births {1800 + number}").convert("1") for number in range(5)]
    first, *others = islice(cycle(drawn), pages)
    first.save(path, "TIFF", save_all=True, append_images=others, compression="group4")
    return path


def note(path: Path, words: str) -> Path:
    """Write an image of one page and return its path."""
    buffer = BytesIO()
    page(words).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())
    return path


def cancelled_jobs(stack: Stack) -> float:
    """Return how many documents the ocr process has been told to leave."""
    address = stack.read()["services"]["ocr"]["internal_url"]
    metrics = httpx.get(f"{address}/metrics", trust_env=False, timeout=60).text
    samples = [sample for family in text_string_to_metric_families(metrics) for sample in family.samples]
    named = [sample for sample in samples if sample.name == "alta_ocr_jobs_total"]
    return sum(sample.value for sample in named if sample.labels["outcome"] == "cancelled")


async def test_a_cancelled_scan_leaves_the_engine_to_others(stack: Stack, client: AltaClient, tmp_path: Path) -> None:
    project = await client.create_project("Cancelled")
    long = await client.upload(project["id"], scan(tmp_path / "long.tiff", LONG_PAGES))

    async def is_being_read() -> bool:
        return (await client.get(long)).status == "processing"

    await eventually(is_being_read, PATIENCE)
    before = cancelled_jobs(stack)

    cancelled = await client.cancel(long)
    short = await client.wait_for(await client.upload(project["id"], note(tmp_path / "short.png", "A short note")), 240)

    assert (cancelled.status, short.status) == ("cancelled", "completed")
    assert "A short note" in await client.result_text(short)
    await eventually(lambda: cancelled_jobs(stack) > before, PATIENCE)
    assert (await client.cancel(long)).status == "cancelled"
    still = await client.get(long)
    assert (still.status, still.data["error"], still.data["revision"]) == ("cancelled", None, 0)
    with pytest.raises(ProblemError, match="processing_cancelled"):
        await client.result(long)


def locked_pdf(path: Path) -> Path:
    """Write a PDF that asks for a password and return its path."""
    pdf = PdfWriter()
    pdf.add_blank_page(200, 200)
    pdf.encrypt("a secret")
    pdf.write(path)
    return path


async def test_what_cannot_be_read_is_explained_to_its_owner(client: AltaClient, tmp_path: Path) -> None:
    project = await client.create_project("Locked letters")

    failed = await client.wait_for(await client.upload(project["id"], locked_pdf(tmp_path / "will.pdf")), 240)
    mail = await client.mail_with("will.pdf", 240)

    error = failed.data["error"]
    assert (failed.status, error["code"], error["retryable"]) == ("failed", "password_protected", False)
    assert "a file that you added to Locked letters could not be read" in mail
    assert error["detail"] in " ".join(mail.split())
    assert "Trying the same file again will not help." in " ".join(mail.split())


async def test_a_document_is_read_again_and_keeps_both_results(client: AltaClient, tmp_path: Path) -> None:
    project = await client.create_project("Read again")
    first = await client.wait_for(await client.upload(project["id"], note(tmp_path / "a.png", "A letter")), 240)
    text = await client.result_text(first)

    again = await client.reprocess(first, engine="local", language="en")
    meanwhile = await client.result_text(again)
    second: Item = await client.wait_for(again, 240)

    assert (again.status, again.data["attempt"], meanwhile) == ("queued", 2, text)
    assert (second.status, second.data["revision"]) == ("completed", 2)
    newest, oldest = await client.revisions(second)
    assert (newest["revision"], newest["attempt"], oldest["revision"], oldest["attempt"]) == (2, 2, 1, 1)
    assert newest["engine"]["name"] == oldest["engine"]["name"] == "rapidocr"
    assert [(await client.result(second, number))["revision"] for number in (1, 2)] == [1, 2]
    assert await client.result_text(second) == text
