"""When the text that a PDF has in itself stands for what its page shows, and when the page must be looked at."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fpdf import FPDF
from PIL import Image

from alta_common.contracts.results import Page
from alta_ocr.engines.text_layer import is_plausible

PdfMaker = Callable[..., Path]
Read = Callable[..., Page | None]


def show(text: str, x: int, y: int, *, mode: int = 0) -> str:
    return f"BT /F1 14 Tf {mode} Tr 1 0 0 1 {x} {y} Tm ({text}) Tj ET\n"


def test_text_outside_of_the_page_does_not_stand_in_for_what_is_on_it(read: Read, raw_pdf: PdfMaker) -> None:
    beyond = "".join(show(f"printer's marks beyond the edge, line {i}", 60, 820 + 20 * i) for i in range(9))

    assert read(raw_pdf((beyond + show("Page 7 of 9", 60, 700)).encode())) is None


def test_an_invisible_layer_of_somebody_elses_ocr_is_not_trusted(read: Read, raw_pdf: PdfMaker) -> None:
    content = "".join(show(f"invisible words, line {i}", 60, 700 - 20 * i, mode=3) for i in range(10))

    assert read(raw_pdf((content + show("7", 300, 40)).encode())) is None


@pytest.mark.parametrize(("lines", "trusted"), [(2, False), (12, True)])
def test_little_text_beside_a_full_page_image_is_not_all_of_it(
    read: Read, tmp_path: Path, lines: int, trusted: bool
) -> None:
    pdf = FPDF(unit="pt", format=(600, 800))
    pdf.add_page()
    pdf.image(Image.new("L", (60, 80), 220), x=0, y=0, w=600, h=700)
    pdf.set_font("Helvetica", size=12)
    for i in range(lines):
        pdf.text(60, 100 + 20 * i, f"Line {i} printed over the image")
    path = tmp_path / "image.pdf"
    pdf.output(str(path))

    assert (read(path) is not None) is trusted


UNSEEN = {"invisible": "3 Tr", "a clip": "7 Tr", "transparent": "/Clear gs"}


def unseen(how: str, text: str, y: int) -> str:
    return f"q BT /F1 14 Tf {UNSEEN[how]} 60 {y} Td ({text}) Tj ET Q\n"


CLEAR = "/ExtGState<</Clear<</ca 0>>>>"
GRAY = "BI /W 1 /H 1 /BPC 8 /CS /G ID \xcc EI"


@pytest.mark.parametrize("how", UNSEEN)
def test_text_that_nobody_sees_is_no_text_whatever_hides_it(read: Read, raw_pdf: PdfMaker, how: str) -> None:
    content = "".join(unseen(how, f"words of a hidden layer, line {i}", 700 - 20 * i) for i in range(10))

    assert read(raw_pdf((content + show("7", 300, 40)).encode(), resources=CLEAR)) is None


@pytest.mark.parametrize("how", UNSEEN)
def test_what_is_unseen_over_a_scan_does_not_add_to_what_is_seen(read: Read, raw_pdf: PdfMaker, how: str) -> None:
    scan = f"q 600 0 0 800 0 0 cm {GRAY} Q\n"
    layer = "".join(unseen(how, f"a long line of a hidden layer that says much {i}", 700 - 20 * i) for i in range(8))
    stamps = "".join(show("EXHIBIT 7", 60 * i, 40) for i in range(1, 10))

    path = raw_pdf((scan + layer + stamps).encode("latin-1"), resources=CLEAR)

    assert read(path) is None


SCAN = "/Type/XObject/Subtype/Image/Width 1/Height 1/BitsPerComponent 8/ColorSpace/DeviceGray/Length 1"


@pytest.mark.parametrize(
    ("image", "height", "trusted"),
    [(f"<<{SCAN}>>", 800, False), (f"<<{SCAN}/SMask 7 0 R>>", 800, True), (f"<<{SCAN}>>", 500, True)],
    ids=["a scan", "a watermark", "a picture below the text"],
)
def test_text_under_a_scan_is_not_seen(read: Read, raw_pdf: PdfMaker, image: str, height: int, trusted: bool) -> None:
    text = "".join(show(f"a long line that may be seen or not seen {i}", 60, 780 - 20 * i) for i in range(9))
    drawn = f"q 600 0 0 {height} 0 0 cm /Scan Do Q\n"
    streams = tuple(f"{head}stream\n\x33\nendstream" for head in (image, f"<<{SCAN}>>"))

    path = raw_pdf((text + drawn).encode(), resources="/XObject<</Scan 6 0 R>>", objects=streams)

    assert (read(path) is not None) is trusted


@pytest.mark.parametrize(("height", "step", "trusted"), [(80, 80, False), (40, 80, True), (400, 4, True)])
def test_a_scan_in_strips_is_as_large_as_all_of_them(
    read: Read, raw_pdf: PdfMaker, height: int, step: int, trusted: bool
) -> None:
    strips = "".join(f"q 600 0 0 {height} 0 {step * i} cm {GRAY} Q\n" for i in range(10))
    stamp = show("Received on the 12th of May 1990", 60, 40)

    assert (read(raw_pdf((strips + stamp).encode("latin-1"))) is not None) is trusted


def test_a_page_with_next_to_no_text_is_looked_at(read: Read, pdf_file: PdfMaker) -> None:
    assert read(pdf_file(("Chapter 3",))) is None


@pytest.mark.parametrize(
    ("text", "plausible"),
    [
        ("Der Fuchs, le renard et la volpe: ½ mile", True),
        ("Съешь ещё этих мягких французских булок", True),
        ("私はガラスを食べられます。それは私を傷つけません。", True),
        ("relies on ef\ufffeficient retrieval", True),
        ("\ufffd\ufffd\x19\x12 some text that is broken", False),
        ("".join(chr(ord(letter) << 8) for letter in "Theinvoiceisdue"), False),
        ("\ue001\ue002 private signs", False),
    ],
)
def test_broken_fonts_show_in_what_they_say(text: str, plausible: bool) -> None:
    assert is_plausible(text) is plausible
