from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from fpdf import FPDF
from PIL import Image

from alta_common.contracts.results import Page
from alta_ocr.engines.text_layer import is_plausible, read_text_layer

PdfMaker = Callable[..., Path]


@pytest.fixture
def read() -> Iterator[Callable[..., Page | None]]:
    documents: list[Any] = []

    def read(path: Path, number: int = 1, *, rotation: int = 0) -> Page | None:
        documents.append(pypdfium2.PdfDocument(path))
        page = documents[-1][number - 1]
        if rotation:
            page.set_rotation(rotation)
        try:
            return read_text_layer(page, number)
        finally:
            page.close()

    yield read
    for document in documents:
        document.close()


Read = Callable[..., Page | None]


def text_of(page: Page | None) -> list[str]:
    assert page is not None
    return [line.text for line in page.lines]


def show(text: str, x: int, y: int, *, matrix: str = "1 0 0 1", mode: int = 0) -> str:
    return f"BT /F1 14 Tf {mode} Tr {matrix} {x} {y} Tm ({text}) Tj ET\n"


def test_lines_and_words_stand_where_they_are_shown(read: Read, pdf_file: PdfMaker, paragraph: tuple[str, ...]) -> None:
    page = read(pdf_file())

    assert page is not None
    assert text_of(page) == list(paragraph)
    assert (page.source, page.unit, page.width, page.height) == ("embedded", "pt", 600, 800)
    first = page.lines[0]
    assert first.text == " ".join(word.text for word in first.words)
    assert first.box[0] == pytest.approx(60 / 600, abs=0.005)
    # The baseline is at 100 of 800 points; letters stand above it.
    assert 84 / 800 < first.box[1] < 95 / 800
    assert 99 / 800 < first.box[3] < 106 / 800
    assert [word.box[0] for word in first.words] == sorted(word.box[0] for word in first.words)


def test_the_file_is_sure_of_its_text(read: Read, pdf_file: PdfMaker) -> None:
    page = read(pdf_file())

    assert page is not None
    assert page.confidence is None
    assert {line.confidence for line in page.lines} == {None}
    assert {word.confidence for line in page.lines for word in line.words} == {None}


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_boxes_are_those_of_the_upright_page(
    read: Read, pdf_file: PdfMaker, paragraph: tuple[str, ...], rotation: int
) -> None:
    # The file says "show me turned"; nobody can read it that way.
    path = pdf_file()
    upright, turned = read(path), read(path, rotation=rotation)

    assert turned is not None
    assert upright is not None
    assert turned.rotation == 360 - rotation
    assert (turned.width, turned.height) == (600, 800)
    assert text_of(turned) == list(paragraph)
    assert turned.lines[0].box == pytest.approx(upright.lines[0].box, abs=0.002)


def test_a_page_that_was_scanned_sideways_and_turned_back_by_the_file_is_upright(read: Read, raw_pdf: PdfMaker) -> None:
    # Text drawn upwards on a page that is shown turned clockwise: the reader sees it upright.
    content = "".join(show(f"Line number {i} of a page", 100 + 30 * i, 100, matrix="0 1 -1 0") for i in range(4))

    page = read(raw_pdf(content.encode(), page="/Rotate 90"))

    assert page is not None
    assert (page.rotation, page.width, page.height) == (0, 800, 600)
    assert text_of(page) == [f"Line number {i} of a page" for i in range(4)]


def test_columns_are_read_one_after_the_other(read: Read, raw_pdf: PdfMaker) -> None:
    left = [f"the left column, line {i}" for i in range(12)]
    right = [f"the right column, line {i}" for i in range(12)]
    # Row by row, as some programs write them.
    content = "".join(show(left[i], 50, 700 - 20 * i) + show(right[i], 330, 700 - 20 * i) for i in range(12))

    assert text_of(read(raw_pdf(content.encode()))) == left + right


def test_a_row_of_a_table_is_one_line(read: Read, raw_pdf: PdfMaker) -> None:
    rows = [("Hammer", "2", "19.90"), ("Nails, 500 g", "10", "4.95"), ("Saw", "1", "24.50")]
    content = "".join(
        show(cell, x, 700 - 20 * i) for i, row in enumerate(rows) for cell, x in zip(row, (50, 300, 400), strict=True)
    )

    assert text_of(read(raw_pdf(content.encode()))) == [" ".join(row) for row in rows]


def test_a_hyphen_at_the_end_of_a_line_stays_a_hyphen(read: Read, raw_pdf: PdfMaker) -> None:
    content = show("This is a long sentence that was hyphen-", 50, 700) + show("ated by whoever set it.", 50, 680)

    assert text_of(read(raw_pdf(content.encode()))) == [
        "This is a long sentence that was hyphen-",
        "ated by whoever set it.",
    ]


def test_what_was_filled_into_a_form_is_part_of_its_text(read: Read, raw_pdf: PdfMaker) -> None:
    from alta_ocr.engines import reader

    value = "BT /F1 12 Tf 2 4 Td (Jane Doe, 12 May 1990) Tj ET"
    field = "<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(x)/Rect[60 640 360 660]/F 4/AP<</N 7 0 R>>/P 3 0 R>>"
    look = f"<</Type/XObject/Subtype/Form/BBox[0 0 300 20]/Resources<</Font<</F1 4 0 R>>>>/Length {len(value)}>>"
    path = raw_pdf(
        show("Name and date of birth of the applicant:", 60, 680).encode(),
        page="/Annots[6 0 R]",
        objects=(field, f"{look}stream\n{value}\nendstream"),
    )

    with pypdfium2.PdfDocument(path) as document, reader._page(document, 1) as page:
        found = read_text_layer(page, 1)

    assert text_of(found) == ["Name and date of birth of the applicant:", "Jane Doe, 12 May 1990"]


def test_text_outside_of_the_page_is_not_shown_and_not_read(read: Read, raw_pdf: PdfMaker) -> None:
    content = show("What everybody can see on this page", 60, 700) + show("hidden beyond the edge", 60, 900)

    assert text_of(read(raw_pdf(content.encode()))) == ["What everybody can see on this page"]


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
