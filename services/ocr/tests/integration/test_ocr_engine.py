"""The local engine in its worker processes: what it reads, what it refuses, and what breaks beside it."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from alta_common.contracts.results import OcrResult, Page
from alta_common.engines.port import EngineError, SourceFile
from alta_common.testing import eventually
from alta_common.workers.pool import WorkerPool
from alta_ocr.engines.engine import DocumentReading, OcrOptions
from alta_ocr.engines.local import LocalEngine

pytestmark = pytest.mark.asyncio(loop_scope="session")

MakePath = Callable[..., Path]
Draw = Callable[..., Image.Image]

ENDLESS = b"0 0 m 100 100 l S\n" * 3_000_000
"""131 kB when packed, more than a minute for pdfium."""


async def read(engine: LocalEngine, path: Path, steps: list[tuple[int, int]] | None = None) -> DocumentReading:
    heard = [] if steps is None else steps
    return await engine.recognize(
        SourceFile(path, "application/octet-stream"), OcrOptions(), lambda done, total: heard.append((done, total))
    )


async def refusal_of(engine: LocalEngine, path: Path) -> EngineError:
    with pytest.raises(EngineError) as refused:
        await read(engine, path)
    return refused.value


def pages_of(reading: DocumentReading) -> list[Page]:
    return [Page.model_validate_json(page.content) for page in reading.pages]


def scans(path: Path, draw: Draw, count: int) -> Path:
    pages = [draw((f"This is page number {number}",), size=(700, 200)) for number in range(1, count + 1)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


async def test_an_image_is_read(local_engine: LocalEngine, image_file: MakePath, paragraph: tuple[str, ...]) -> None:
    reading = await read(local_engine, image_file())

    [page] = pages_of(reading)
    assert reading.text == "\n".join(paragraph)
    assert reading.engine.name == "rapidocr"
    assert (page.source, page.unit, page.width, page.height) == ("ocr", "px", 900, 420)
    assert page.confidence is not None
    assert page.confidence > 0.9
    assert reading.confidence == pytest.approx(page.confidence)
    assert all(0 <= edge <= 1 for line in page.lines for word in line.words for edge in word.box)


@pytest.mark.parametrize("turned", [90, 180, 270])
async def test_an_image_that_lies_on_its_side_is_read_upright(
    local_engine: LocalEngine, image_file: MakePath, picture_of: Draw, paragraph: tuple[str, ...], turned: int
) -> None:
    [upright] = pages_of(await read(local_engine, image_file()))

    reading = await read(local_engine, image_file(picture_of().rotate(-turned, expand=True)))

    [page] = pages_of(reading)
    assert reading.text == "\n".join(paragraph)
    assert page.rotation == 360 - turned
    assert (page.width, page.height) == (900, 420)
    assert page.lines[0].box == pytest.approx(upright.lines[0].box, abs=0.02)


async def test_a_born_digital_pdf_is_not_looked_at(
    local_engine: LocalEngine, pdf_file: MakePath, paragraph: tuple[str, ...]
) -> None:
    reading = await read(local_engine, pdf_file(*[paragraph] * 40))

    assert [page.number for page in reading.pages] == list(range(1, 41))
    assert {page.source for page in reading.pages} == {"embedded"}
    assert reading.engine.name == "pdf-text"
    assert reading.confidence is None


async def test_pages_of_a_scan_are_read_at_once_and_come_in_order(
    local_engine: LocalEngine, tmp_path: Path, picture_of: Draw
) -> None:
    steps: list[tuple[int, int]] = []

    reading = await read(local_engine, scans(tmp_path / "scan.tif", picture_of, 4), steps)

    assert reading.text == "\n\n".join(f"This is page number {number}" for number in range(1, 5))
    assert steps == [(done, 4) for done in range(5)]


async def test_a_short_document_is_done_before_the_long_ones_that_came_first(
    local_engine: LocalEngine, image_file: MakePath, tmp_path: Path, picture_of: Draw, paragraph: tuple[str, ...]
) -> None:
    done: list[str] = []
    begun: list[tuple[int, int]] = []

    async def read_as(name: str, path: Path) -> DocumentReading:
        reading = await read(local_engine, path, begun)
        done.append(name)
        return reading

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(read_as("long", scans(tmp_path / f"{number}.tif", picture_of, 8)))
        await eventually(lambda: any(step for step, total in begun if total == 8))
        letter = group.create_task(read_as("letter", image_file()))

    assert letter.result().text == "\n".join(paragraph)
    assert done == ["letter", "long", "long", "long"]


async def test_a_pdf_may_mix_pages_with_and_without_text(
    local_engine: LocalEngine, pdf_file: MakePath, tmp_path: Path, picture_of: Draw, paragraph: tuple[str, ...]
) -> None:
    picture_of(("A page that was scanned",), size=(1200, 1600), font_px=48).save(tmp_path / "scan.pdf")
    with pypdfium2.PdfDocument(pdf_file()) as document, pypdfium2.PdfDocument(tmp_path / "scan.pdf") as scan:
        document.import_pages(scan)
        document.save(tmp_path / "mixed.pdf")

    reading = await read(local_engine, tmp_path / "mixed.pdf")

    assert [page.source for page in reading.pages] == ["embedded", "ocr"]
    assert reading.text == "\n".join(paragraph) + "\n\nA page that was scanned"
    assert reading.engine.name == "rapidocr"


async def test_a_blank_page_is_success_with_a_warning(local_engine: LocalEngine, image_file: MakePath) -> None:
    reading = await read(local_engine, image_file(Image.new("L", (1240, 1754), 255)))

    assert (reading.text, reading.warnings) == ("", ["no_text"])
    assert reading.confidence is None


async def test_a_tall_receipt_is_read_to_its_end(
    local_engine: LocalEngine, image_file: MakePath, picture_of: Draw
) -> None:
    items = tuple(f"Item {number:03d} costs {number}.50" for number in range(1, 41))

    reading = await read(local_engine, image_file(picture_of(items, size=(440, 2560), font_px=30)))

    assert reading.text.split("\n") == list(items)


async def test_a_line_in_a_thin_and_endless_image_is_found(
    local_engine: LocalEngine, image_file: MakePath, picture_of: Draw
) -> None:
    strip = Image.new("RGB", (300, 12_000), "white")
    strip.paste(picture_of(("over here",), size=(300, 150)), (0, 6000))

    assert (await read(local_engine, image_file(strip))).text == "over here"


async def test_the_result_of_many_pages_is_canonical(
    local_engine: LocalEngine, pdf_file: MakePath, paragraph: tuple[str, ...]
) -> None:
    from alta_common.ids import new_id
    from alta_ocr.application.results import serialized

    reading = await read(local_engine, pdf_file(*[paragraph] * 20))

    result = OcrResult.model_validate_json(serialized(new_id(), reading))
    assert len(result.pages) == 20
    assert result.text == reading.text


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "corrupt_file"),
        (b"%PDF-1.7\n", "corrupt_file"),
        (b"\x89PNG\r\n\x1a\n", "corrupt_file"),
        (b"\xff\xd8\xff\xe0", "corrupt_file"),
        (b"PK\x03\x04", "unsupported_media_type"),
        (b"plain text", "unsupported_media_type"),
    ],
)
async def test_files_that_are_nothing_are_refused(
    local_engine: LocalEngine, tmp_path: Path, content: bytes, code: str
) -> None:
    path = tmp_path / "letter.pdf"
    path.write_bytes(content)

    refused = await refusal_of(local_engine, path)

    assert (refused.code, refused.retryable) == (code, False)
    assert refused.detail.endswith(".")


async def test_a_cut_pdf_is_refused(local_engine: LocalEngine, pdf_file: MakePath) -> None:
    path = pdf_file()
    path.write_bytes(path.read_bytes()[:400])

    assert (await refusal_of(local_engine, path)).code == "corrupt_file"


async def test_a_locked_pdf_is_refused_and_one_with_an_owner_password_is_read(
    local_engine: LocalEngine, tmp_path: Path
) -> None:
    from fpdf import FPDF

    for name, user in (("locked", "secret"), ("open", "")):
        pdf = FPDF()
        pdf.set_encryption(owner_password="owner", user_password=user)
        pdf.add_page()
        pdf.set_font("Helvetica", size=14)
        pdf.text(20, 40, "Nobody may print this contract of ours.")
        pdf.output(str(tmp_path / f"{name}.pdf"))

    assert (await refusal_of(local_engine, tmp_path / "locked.pdf")).code == "password_protected"
    assert (await read(local_engine, tmp_path / "open.pdf")).text == "Nobody may print this contract of ours."


async def test_too_many_pages_are_refused_at_once(local_engine: LocalEngine, tmp_path: Path) -> None:
    document = pypdfium2.PdfDocument.new()
    for _ in range(1001):
        document.new_page(100, 100)
    document.save(tmp_path / "long.pdf")
    kids = b"3 0 R " * 100_000
    (tmp_path / "loop.pdf").write_bytes(
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Count 100000/Kids["
        + kids
        + b"]>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n"
    )

    for name in ("long.pdf", "loop.pdf"):
        refused = await refusal_of(local_engine, tmp_path / name)
        assert (refused.code, refused.retryable) == ("too_many_pages", False)


async def test_an_image_bomb_is_refused(local_engine: LocalEngine, image_file: MakePath) -> None:
    bomb = image_file(Image.new("1", (12_000, 12_000)))

    assert (await refusal_of(local_engine, bomb)).code == "image_too_large"


async def test_a_page_that_never_ends_is_killed_and_disturbs_nobody(
    hasty_engine: LocalEngine,
    local_engine: LocalEngine,
    raw_pdf: MakePath,
    image_file: MakePath,
    paragraph: tuple[str, ...],
) -> None:
    endless = asyncio.create_task(refusal_of(hasty_engine, raw_pdf(ENDLESS)))

    beside = await read(local_engine, image_file())

    assert beside.text == "\n".join(paragraph)
    assert (await endless).code == "timeout"


async def test_a_killed_worker_costs_a_retry_of_its_page_only(
    local_engine: LocalEngine, pool: WorkerPool, tmp_path: Path, picture_of: Draw
) -> None:
    path, steps = scans(tmp_path / "scan.tif", picture_of, 4), []
    reading = asyncio.create_task(read(local_engine, path, steps))
    await eventually(lambda: len(steps) > 1)

    os.kill(pool.pids[0], signal.SIGKILL)

    assert len((await reading).pages) == 4
    assert [done for done, _ in steps] == list(range(5))


async def test_a_cancelled_document_stops_its_workers_at_once(
    local_engine: LocalEngine, pool: WorkerPool, raw_pdf: MakePath
) -> None:
    # A worker that a test before this one has killed may not be replaced yet.
    await eventually(lambda: len(pool.pids) == 2)
    before = set(pool.pids)
    opened: list[tuple[int, int]] = []
    reading = asyncio.create_task(read(local_engine, raw_pdf(ENDLESS), opened))
    await eventually(lambda: opened)

    reading.cancel()

    with pytest.raises(asyncio.CancelledError):
        await reading
    await eventually(lambda: len(before & set(pool.pids)) == 1)
