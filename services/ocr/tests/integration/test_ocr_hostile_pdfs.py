"""PDFs that are broken, that lie, or that ask for more than a page is worth: each with its one right answer.

All of them go through real workers. `READ` is success with the sentence that stands on the page, `BLANK` success with
a warning; anything else is the code of a failure.
"""

import asyncio
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from fpdf import FPDF

from alta_common.engines.port import EngineError, SourceFile
from alta_common.workers.pool import WorkerPool
from alta_ocr.engines.engine import DocumentReading, OcrOptions
from alta_ocr.engines.limits import DocumentLimits
from alta_ocr.engines.local import LocalConfig, LocalEngine

pytestmark = pytest.mark.asyncio(loop_scope="session")

READ, BLANK = "read", "no_text"

SENTENCE = "Nothing on this page is out of the ordinary."
TEXT = b"BT /F1 14 Tf 60 700 Td (" + SENTENCE.encode() + b") Tj ET\n"
FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
CATALOG, ONE_PAGE = b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>"


def pdf(*objects: bytes) -> bytes:
    """A PDF of `objects`, numbered from 1; the first is its catalog."""
    body, offsets = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    rows = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(body))
    return body + b"xref\n0 %d\n0000000000 65535 f \n%b" % (len(objects) + 1, rows) + trailer


def stream(content: bytes, dictionary: bytes = b"") -> bytes:
    return b"<<%b/Length %d>>stream\n%b\nendstream" % (dictionary, len(content), content)


def packed(content: bytes, dictionary: bytes = b"") -> bytes:
    return stream(zlib.compress(content), b"/Filter/FlateDecode" + dictionary)


def page(box: bytes = b"0 0 600 800", resources: bytes = b"", more: bytes = b"") -> bytes:
    return b"<</Type/Page/Parent 2 0 R/MediaBox[%b]/Contents 5 0 R/Resources<</Font<</F1 4 0 R>>%b>>%b>>" % (
        box,
        resources,
        more,
    )


def one_page(content: bytes = TEXT, *more: bytes, **of_page: bytes) -> bytes:
    """A PDF of one page with `content`; `more` objects begin at number 6."""
    return pdf(CATALOG, ONE_PAGE, page(**of_page), FONT, packed(content), *more)


def image(data: bytes, dictionary: bytes) -> bytes:
    """A page that shows an image whose stream is `data`, and nothing else."""
    picture = stream(data, b"/Type/XObject/Subtype/Image" + dictionary)
    return one_page(b"600 0 0 800 0 0 cm /Im Do", picture, resources=b"/XObject<</Im 6 0 R>>")


def locked() -> bytes:
    document = FPDF()
    document.set_encryption(owner_password="owner", user_password="secret")
    document.add_page()
    return bytes(document.output())


def blank_pages(count: int) -> bytes:
    kids = b" ".join(b"%d 0 R" % number for number in range(3, count + 3))
    return pdf(
        CATALOG,
        b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, count),
        *[b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 100 100]>>"] * count,
    )


def nested_forms(depth: int) -> bytes:
    """Forms in forms; the innermost would show the sentence."""
    forms = [
        packed(b"/Fm Do", b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]/Resources<</XObject<</Fm %d 0 R>>>>" % number)
        for number in range(7, 6 + depth)
    ]
    last = packed(TEXT, b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]/Resources<</Font<</F1 4 0 R>>>>")
    return one_page(TEXT + b"/Fm Do", *forms, last, resources=b"/XObject<</Fm 6 0 R>>")


def form_within_itself() -> bytes:
    form = packed(b"/Fm Do", b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]/Resources<</XObject<</Fm 6 0 R>>>>")
    return one_page(TEXT + b"/Fm Do", form, resources=b"/XObject<</Fm 6 0 R>>")


GRAY = b"/ColorSpace/DeviceGray/BitsPerComponent 8"
ACTION = b"/OpenAction<</S/Launch/F(/bin/sh)>>/AA<</O<</S/JavaScript/JS(while(true){})>>>>"

HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing but a header": (lambda: b"%PDF-1.7\n", "corrupt_file"),
    "a header and noise": (lambda: b"%PDF-1.7\n" + bytes(range(256)) * 40, "corrupt_file"),
    "cut off": (lambda: one_page()[:300], "corrupt_file"),
    "a page tree that is its own branch": (
        lambda: pdf(CATALOG, b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>"),
        "corrupt_file",
    ),
    "no pages": (lambda: pdf(CATALOG, b"<</Type/Pages/Kids[]/Count 0>>"), "corrupt_file"),
    "a password": (locked, "password_protected"),
    "ten thousand pages": (lambda: blank_pages(10_000), "too_many_pages"),
    "one page a hundred thousand times": (
        lambda: pdf(
            CATALOG, b"<</Type/Pages/Count 100000/Kids[%b]>>" % (b"3 0 R " * 100_000), page(), FONT, packed(TEXT)
        ),
        "too_many_pages",
    ),
    "a count of a billion": (
        lambda: pdf(CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 1000000000>>", page(), FONT, packed(TEXT)),
        READ,
    ),
    "a cross-reference table of lies": (lambda: one_page().replace(b" 00000 n", b"9 0000 n"), READ),
    "junk before the header": (lambda: b"<html>" + one_page(), "unsupported_media_type"),
    "an archive behind its end": (lambda: one_page() + b"PK\x03\x04" + bytes(1000), READ),
    "actions": (lambda: pdf(CATALOG[:-2] + ACTION + b">>", ONE_PAGE, page(), FONT, packed(TEXT)), READ),
    "a page of a hectare": (lambda: one_page(box=b"0 0 1000000 1000000"), READ),
    "a page without size": (lambda: one_page(box=b"0 0 0 0"), READ),
    "a page of no numbers": (lambda: one_page(box=b"0 0 nan inf"), READ),
    "a page inside out": (lambda: one_page(box=b"600 800 0 0"), READ),
    "a page much higher than wide": (lambda: one_page(b"2 700 3 20 re f", box=b"0 0 10 1000"), BLANK),
    "a page much wider than high": (lambda: one_page(b"2 2 5000 3 re f", box=b"0 0 10000 10"), BLANK),
    "a page as thin as a thread": (lambda: one_page(b"", box=b"0 0 0.01 14400"), BLANK),
    "text at no place": (lambda: one_page(TEXT + b"BT /F1 1e38 Tf 1e38 0 0 1e38 1e38 1e38 Tm (far away) Tj ET"), READ),
    "an image that explodes": (
        lambda: image(
            zlib.compress(zlib.compress(bytes(8_000 * 8_000), 9), 9),
            b"/Filter[/FlateDecode/FlateDecode]/Width 8000/Height 8000" + GRAY,
        ),
        BLANK,
    ),
    "an image of a billion pixels": (
        lambda: image(zlib.compress(bytes(100)), b"/Filter/FlateDecode/Width 32000/Height 32000" + GRAY),
        BLANK,
    ),
    "JBIG2 that is noise": (
        lambda: image(b"\x97JB2" + bytes(range(200)), b"/Filter/JBIG2Decode/Width 35000/Height 35000" + GRAY),
        BLANK,
    ),
    "a JPEG 2000 that is noise": (
        lambda: image(b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(200), b"/Filter/JPXDecode/Width 9/Height 9"),
        BLANK,
    ),
    "forms in forms": (lambda: nested_forms(500), READ),
    "a form within itself": (form_within_itself, READ),
    "states saved without end": (lambda: one_page(b"q " * 200_000 + TEXT), READ),
    "a font that is not there": (lambda: one_page(TEXT.replace(b"/F1", b"/Fx")), READ),
    "text without end": (lambda: one_page(TEXT * 20_000), READ),
}


@pytest.fixture
def strict_engine(pool: WorkerPool) -> LocalEngine:
    """The session's workers with limits that a small file can reach."""
    return LocalEngine(pool, LocalConfig(2, 60.0, DocumentLimits(max_pages=100, max_pixels=1_000_000)))


async def read(engine: LocalEngine, path: Path) -> DocumentReading:
    return await engine.recognize(SourceFile(path, "application/pdf"), OcrOptions(), lambda *_: None)


async def answer_of(engine: LocalEngine, path: Path) -> tuple[str, bool]:
    try:
        reading = await read(engine, path)
    except EngineError as error:
        return error.code, error.retryable
    return (READ if SENTENCE in reading.text else ",".join(reading.warnings)), False


@pytest.mark.parametrize("kind", HOSTILE)
async def test_every_hostile_pdf_has_its_answer(strict_engine: LocalEngine, tmp_path: Path, kind: str) -> None:
    make, answer = HOSTILE[kind]
    path = tmp_path / "hostile.pdf"
    path.write_bytes(make())

    assert await answer_of(strict_engine, path) == (answer, False)


async def test_a_good_document_among_hostile_ones_is_read(
    strict_engine: LocalEngine, hasty_engine: LocalEngine, tmp_path: Path
) -> None:
    def saved(name: str, content: bytes) -> Path:
        path = tmp_path / f"{name}.pdf"
        path.write_bytes(content)
        return path

    endless = answer_of(hasty_engine, saved("endless", one_page(b"0 0 m 100 100 l S\n" * 3_000_000)))
    hostile = [answer_of(strict_engine, saved(kind, make())) for kind, (make, _) in list(HOSTILE.items())[:8]]
    good = answer_of(strict_engine, saved("good", one_page()))

    answers = await asyncio.gather(endless, *hostile, good)

    assert answers[0] == ("timeout", False)
    assert answers[-1] == (READ, False)
