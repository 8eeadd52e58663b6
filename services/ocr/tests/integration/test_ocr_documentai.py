"""Document AI through Google's own client library, against a server that speaks the same gRPC and has its limits."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from fpdf import FPDF
from google.cloud import documentai_v1 as documentai
from PIL import Image

from alta_common.contracts.results import Line, Page, Word
from alta_common.engines.checkpoints import StoredCheckpoint
from alta_common.engines.port import EngineError, InputError
from alta_common.ids import new_id
from alta_common.testing.storage import MemoryObjectStorage
from alta_emulators.faults import RefusedError
from alta_emulators.shapes import document_of
from alta_ocr.engines.engine import DocumentReading
from alta_ocr.engines.limits import DocumentLimits

pytestmark = pytest.mark.asyncio(loop_scope="session")

MakePath = Callable[..., Path]


def pages_of(reading: DocumentReading) -> list[Page]:
    return [Page.model_validate_json(page.content) for page in reading.pages]


def numbered(pdf_file: MakePath, count: int) -> Path:
    return pdf_file(*[(f"This is page {number}.",) for number in range(1, count + 1)])


def numbers_in(reading: DocumentReading) -> list[int]:
    return [int(page.text.removeprefix("This is page ").removesuffix(".")) for page in reading.pages]


def frames(path: Path, count: int) -> Path:
    pages = [Image.new("1", (400 + number, 300), 1) for number in range(1, count + 1)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


class Script:
    """Answers every request with the same document."""

    def __init__(self, document: documentai.Document) -> None:
        self._document = document

    async def read(self, _content: bytes, _media_type: str) -> documentai.Document:
        return self._document


async def test_a_short_pdf_is_read_with_one_request(google: Any, serve: Any, pdf_file: MakePath) -> None:
    service = await serve()
    path = pdf_file(("Dear reader,", "all is well."))

    reading = await google.read(google.engine(), path)

    [page] = pages_of(reading)
    [request] = service.requests
    assert reading.text == "Dear reader,\nall is well."
    assert (reading.engine.name, reading.engine.version, reading.language) == ("documentai", "default", "en")
    assert (page.number, page.source, page.rotation) == (1, "ocr", 0)
    assert [word.text for word in page.lines[0].words] == ["Dear", "reader,"]
    assert page.lines[0].words[0].confidence == pytest.approx(0.9)
    assert page.lines[0].words[0].box == pytest.approx((0.1, 0.1, 0.2, 0.2))
    assert request.raw_document.content == path.read_bytes()


async def test_pictures_of_pages_are_not_asked_for(google: Any, serve: Any, pdf_file: MakePath) -> None:
    service = await serve()

    await google.read(google.engine(), pdf_file(("x",)), language="nl")

    [request] = service.requests
    assert "pages.lines" in request.field_mask.paths
    assert not any(path in {"pages", "pages.image"} for path in request.field_mask.paths)
    assert list(request.process_options.ocr_config.hints.language_hints) == ["nl"]
    assert request.name == "projects/test/locations/us/processors/ocr"


@pytest.mark.parametrize(
    ("count", "config", "parts"), [(16, {}, [15, 1]), (40, {}, [15, 15, 10]), (40, {"imageless": True}, [30, 10])]
)
async def test_a_longer_pdf_is_read_in_parts_and_put_together_in_order(
    google: Any, serve: Any, pdf_file: MakePath, count: int, config: dict[str, Any], parts: list[int]
) -> None:
    service = await serve()
    steps: list[tuple[int, int]] = []

    reading = await google.read(google.engine(**config), numbered(pdf_file, count), steps)

    assert numbers_in(reading) == list(range(1, count + 1))
    assert [page.number for page in pages_of(reading)] == list(range(1, count + 1))
    assert len(service.requests) == len(parts)
    assert steps[0] == (0, count)
    assert steps[-1] == (count, count)
    assert len(steps) == 1 + len(parts)


async def test_a_tiff_of_many_pages_is_read_in_parts(google: Any, serve: Any, tmp_path: Path) -> None:
    service = await serve()

    reading = await google.read(google.engine(), frames(tmp_path / "fax.tif", 33))

    assert [page.text for page in reading.pages] == [f"TIFF {400 + number} x 300" for number in range(1, 34)]
    assert len(service.requests) == 3


async def test_a_picture_is_sent_the_way_that_a_viewer_shows_it(
    google: Any, serve: Any, image_file: MakePath, tmp_path: Path
) -> None:
    await serve()
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn
    turned = image_file(Image.new("RGB", (300, 200), "white"), "turned.jpg", exif=exif)
    gif = image_file(Image.new("P", (300, 200)), "page.gif")
    png = image_file(Image.new("RGB", (300, 200), "white"), "page.png")
    engine = google.engine()

    assert (await google.read(engine, turned)).text == "JPEG 200 x 300"
    assert (await google.read(engine, gif)).text == "PNG 300 x 200"
    assert (await google.read(engine, png)).text == "PNG 300 x 200"


async def test_google_takes_40_megapixels_whatever_is_read_here(google: Any, serve: Any, image_file: MakePath) -> None:
    service = await serve()
    engine = google.engine(limits=DocumentLimits(max_pixels=80_000_000))

    with pytest.raises(InputError) as refused:
        await google.read(engine, image_file(Image.new("1", (8000, 6000)), "huge.png"))

    assert refused.value.code == "image_too_large"
    assert not service.requests


async def test_a_pdf_that_only_its_owner_may_change_is_sent_without_its_encryption(
    google: Any, serve: Any, tmp_path: Path
) -> None:
    service = await serve()
    pdf = FPDF()
    pdf.set_encryption(owner_password="secret")
    pdf.set_font("Helvetica", size=14)
    pdf.add_page()
    pdf.text(20, 20, "for your eyes")
    path = tmp_path / "encrypted.pdf"
    pdf.output(str(path))

    reading = await google.read(google.engine(), path)

    assert reading.text == "for your eyes"
    assert b"/Encrypt" in path.read_bytes()
    assert b"/Encrypt" not in service.requests[0].raw_document.content


async def test_a_page_that_lies_on_its_side_is_upright_in_its_result(
    google: Any, serve: Any, pdf_file: MakePath
) -> None:
    word = Word(text="sideways", confidence=0.8, box=(0.1, 0.2, 0.3, 0.4))
    line = Line(text="sideways", confidence=0.8, box=(0.1, 0.2, 0.3, 0.4), words=[word])
    upright = [
        Page(number=number, width=600, height=800, rotation=rotation, confidence=0.8, lines=[line])
        for number, rotation in enumerate((0, 90, 180, 270), start=1)
    ]
    await serve(Script(document_of(upright)))

    pages = pages_of(await google.read(google.engine(), numbered(pdf_file, 4)))

    assert [page.rotation for page in pages] == [0, 90, 180, 270]
    for page in pages:
        assert (page.width, page.height) == (600, 800)
        assert page.lines[0].box == pytest.approx((0.1, 0.2, 0.3, 0.4))
        assert page.lines[0].words[0].box == pytest.approx((0.1, 0.2, 0.3, 0.4))


async def test_an_empty_page_is_success_with_a_warning(google: Any, serve: Any, pdf_file: MakePath) -> None:
    await serve()

    reading = await google.read(google.engine(), pdf_file(()))

    assert (reading.text, reading.warnings, reading.confidence) == ("", ["no_text"], None)


async def test_a_confidence_that_was_not_given_is_none(google: Any, serve: Any, pdf_file: MakePath) -> None:
    page = Page(number=1, width=1, height=1, confidence=None, lines=[a_line("sure of nothing")])
    await serve(Script(document_of([page])))

    reading = await google.read(google.engine(), pdf_file(("x",)))

    [page] = pages_of(reading)
    assert (reading.confidence, page.confidence, page.lines[0].confidence) == (None, None, None)
    assert {word.confidence for word in page.lines[0].words} == {None}


def a_line(text: str) -> Line:
    box = (0.1, 0.1, 0.9, 0.2)
    return Line(
        text=text, confidence=None, box=box, words=[Word(text=w, confidence=None, box=box) for w in text.split()]
    )


@pytest.mark.parametrize("limits", [{"online_pages": 4}, {"online_bytes": 5_000}])
async def test_parts_are_made_smaller_where_google_takes_less(
    google: Any, serve: Any, pdf_file: MakePath, limits: dict[str, int]
) -> None:
    service = await serve(**limits)

    reading = await google.read(google.engine(), numbered(pdf_file, 15))

    assert numbers_in(reading) == list(range(1, 16))
    assert len(service.requests) > 1


async def test_parts_that_were_read_are_not_paid_for_again(google: Any, serve: Any, pdf_file: MakePath) -> None:
    service = await serve()
    checkpoint = StoredCheckpoint(MemoryObjectStorage(), new_id(), new_id()).of("documentai")
    path = numbered(pdf_file, 40)
    denied = RefusedError(grpc.StatusCode.PERMISSION_DENIED, "Billing is disabled")
    # One part at a time: the first is read, the second is refused.
    engine = google.engine(at_once=1)
    google.faults.plan("ProcessDocument", None, denied)
    with pytest.raises(EngineError):
        await google.read(engine, path, checkpoint=checkpoint)
    steps: list[tuple[int, int]] = []

    reading = await google.read(google.engine(at_once=1), path, steps, checkpoint=checkpoint)

    assert numbers_in(reading) == list(range(1, 41))
    assert steps == [(15, 40), (30, 40), (40, 40)]
    assert len(service.requests) == 3


async def test_a_part_that_cannot_be_used_any_more_is_read_again(google: Any, serve: Any, pdf_file: MakePath) -> None:
    await serve()
    storage = MemoryObjectStorage()
    checkpoint = StoredCheckpoint(storage, new_id(), new_id()).of("documentai")
    path = numbered(pdf_file, 3)
    await google.read(google.engine(), path, checkpoint=checkpoint)
    [name] = await checkpoint.load()
    await checkpoint.save(name, b"not what was kept")

    reading = await google.read(google.engine(), path, checkpoint=checkpoint)

    assert numbers_in(reading) == [1, 2, 3]


async def test_documents_take_turns(google: Any, serve: Any, pdf_file: MakePath) -> None:
    await serve()
    engine = google.engine(at_once=1)
    long, short = numbered(pdf_file, 40), pdf_file(("short",), name="short.pdf")

    readings = await asyncio.gather(google.read(engine, long), google.read(engine, short))

    assert [len(reading.pages) for reading in readings] == [40, 1]
    assert readings[1].text == "short"
