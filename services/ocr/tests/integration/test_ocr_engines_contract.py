"""What every engine promises, asked of each: the local one, and Document AI over an emulator that reads with it."""

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image
from rapidfuzz.distance import Levenshtein

from alta_common.contracts.results import Page
from alta_common.engines.port import InputError, SourceFile
from alta_emulators.backends import LocalDocuments
from alta_ocr.engines.engine import DocumentReading, OcrEngine, OcrOptions
from alta_ocr.engines.local import LocalEngine

pytestmark = pytest.mark.asyncio(loop_scope="session")

MakePath = Callable[..., Path]


@pytest_asyncio.fixture(params=["local", "documentai"], loop_scope="session")
async def any_engine(request: pytest.FixtureRequest, local_engine: LocalEngine, google: Any, serve: Any) -> OcrEngine:
    if request.param == "local":
        return local_engine
    await serve(LocalDocuments(local_engine))
    return google.engine()


async def read(engine: OcrEngine, path: Path, steps: list[tuple[int, int]] | None = None) -> DocumentReading:
    heard = [] if steps is None else steps
    return await engine.recognize(
        SourceFile(path, "application/octet-stream"), OcrOptions(), lambda done, total: heard.append((done, total))
    )


def pages_of(reading: DocumentReading) -> list[Page]:
    return [Page.model_validate_json(page.content) for page in reading.pages]


def order_free_error_rate(text: str, truth: str) -> float:
    """Return the share of characters that are wrong, whatever order the words are in."""
    ours, theirs = (" ".join(sorted(unicodedata.normalize("NFKC", one).split())) for one in (text, truth))
    return Levenshtein.distance(ours, theirs) / len(theirs)


@pytest.mark.parametrize(
    ("name", "truth"), [("img/tess_phototest.tif", "tess_phototest"), ("pdf/gcs_invoice.pdf", "pdf_invoice")]
)
async def test_real_pages_read_as_their_references_say(
    any_engine: OcrEngine, shared_data: Path, name: str, truth: str
) -> None:
    reading = await read(any_engine, shared_data / name)

    errors = order_free_error_rate(reading.text, (shared_data / "truth" / f"{truth}.txt").read_text())
    assert errors <= 0.02


async def test_a_result_has_the_shape_that_projects_counts_on(any_engine: OcrEngine, image_file: MakePath) -> None:
    steps: list[tuple[int, int]] = []

    reading = await read(any_engine, image_file(), steps)

    [page] = pages_of(reading)
    assert (page.number, page.rotation, page.width, page.height) == (1, 0, 900, 420)
    assert reading.engine.name
    assert reading.engine.version
    assert reading.engine.config_hash
    assert reading.warnings == []
    assert steps[0] == (0, 1)
    assert steps[-1] == (1, 1)
    for line in page.lines:
        assert [word.text for word in line.words] == line.text.split()
        for part in (line, *line.words):
            x0, y0, x1, y1 = part.box
            assert 0 <= x0 <= x1 <= 1
            assert 0 <= y0 <= y1 <= 1
            assert part.confidence is None or 0 < part.confidence <= 1
    assert reading.text == "\n".join(line.text for line in page.lines)


@pytest.mark.parametrize("turned", [90])
async def test_a_turned_page_is_upright_in_its_result(
    any_engine: OcrEngine,
    image_file: MakePath,
    picture_of: Callable[..., Image.Image],
    paragraph: tuple[str, ...],
    turned: int,
) -> None:
    path = image_file(picture_of().rotate(turned, expand=True), f"turned-{turned}.png")

    reading = await read(any_engine, path)

    [page] = pages_of(reading)
    # Pillow turns anticlockwise, and so clockwise by as much again brings it back.
    assert page.rotation == turned
    assert (page.width, page.height) == (900, 420)
    assert order_free_error_rate(reading.text, "\n".join(paragraph)) <= 0.02
    assert page.lines[0].box[1] < 0.25


async def test_a_blank_page_is_success_with_a_warning(any_engine: OcrEngine, image_file: MakePath) -> None:
    reading = await read(any_engine, image_file(Image.new("RGB", (600, 800), "white"), "blank.png"))

    assert (reading.text, reading.warnings) == ("", ["no_text"])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "corrupt_file"),
        (b"hello, this is text", "unsupported_media_type"),
        (b"%PDF-1.7\nnothing follows", "corrupt_file"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "corrupt_file"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_the_same_code(
    any_engine: OcrEngine, tmp_path: Path, content: bytes, code: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)

    with pytest.raises(InputError) as refused:
        await read(any_engine, path)

    assert refused.value.code == code


async def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(
    any_engine: OcrEngine, image_file: MakePath
) -> None:
    with pytest.raises(InputError) as refused:
        await read(any_engine, image_file(Image.new("1", (8000, 6000)), "huge.png"))

    assert refused.value.code == "image_too_large"


async def test_pages_come_in_order(any_engine: OcrEngine, pdf_file: MakePath) -> None:
    texts = [f"This is page number {number} of this document" for number in range(1, 18)]

    reading = await read(any_engine, pdf_file(*[(text,) for text in texts]))

    assert [page.text for page in reading.pages] == texts
    assert [page.number for page in pages_of(reading)] == list(range(1, 18))
