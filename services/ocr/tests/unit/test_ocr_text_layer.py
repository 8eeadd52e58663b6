from collections.abc import Callable
from pathlib import Path

import pypdfium2
import pytest

from alta_common.contracts.results import Page
from alta_ocr.engines import reader
from alta_ocr.engines.rendering import render
from alta_ocr.engines.text_layer import read_text_layer

PdfMaker = Callable[..., Path]


Read = Callable[..., Page | None]


def text_of(page: Page | None) -> list[str]:
    assert page is not None
    return [line.text for line in page.lines]


def show(text: str, x: int, y: int, *, matrix: str = "1 0 0 1", mode: int = 0, size: int = 14) -> str:
    return f"BT /F1 {size} Tf {mode} Tr {matrix} {x} {y} Tm ({text}) Tj ET\n"


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


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_boxes_are_shares_of_what_is_left_of_a_page_that_was_cut_down(
    read: Read, raw_pdf: PdfMaker, rotation: int
) -> None:
    # 300 by 200 points are left. The line's baseline begins 30 from their left edge and 50 below their upper one.
    path = raw_pdf(show("The harbour was quiet that day", 130, 550).encode(), page="/CropBox[100 400 400 600]")

    page = read(path, rotation=rotation)

    assert page is not None
    assert (page.width, page.height, page.rotation) == (300, 200, -rotation % 360)
    left, top, right, bottom = page.lines[0].box
    assert left == pytest.approx(30 / 300, abs=0.01)
    # Helvetica's letters at 14 points, 190 wide in all, reach 10 above their baseline and 3 below it.
    assert right == pytest.approx((30 + 190) / 300, abs=0.02)
    assert top == pytest.approx((50 - 10) / 200, abs=0.015)
    assert bottom == pytest.approx((50 + 3) / 200, abs=0.015)


@pytest.mark.parametrize("rotation", [0, 90, 270])
def test_a_page_that_is_read_from_right_to_left_is_turned_upright(read: Read, raw_pdf: PdfMaker, rotation: int) -> None:
    # Helvetica's a to z are said to be Hebrew's alef and what follows, and written as they are seen.
    hebrew = "1 begincodespacerange <00> <FF> endcodespacerange 1 beginbfrange <61> <7A> <05D0> endbfrange"
    unicode = f"<</Length {len(hebrew)}>>stream\n{hebrew}\nendstream"
    content = show("abcde fghij klmno"[::-1], 60, 700) + show("pqrst uvwxy"[::-1], 60, 670)
    path = raw_pdf(content.encode(), font="/ToUnicode 6 0 R", objects=(unicode,))

    page = read(path, rotation=rotation)

    assert page is not None
    assert page.rotation == -rotation % 360
    assert [line.text for line in page.lines] == [
        "\u05d0\u05d1\u05d2\u05d3\u05d4 \u05d5\u05d6\u05d7\u05d8\u05d9 \u05da\u05db\u05dc\u05dd\u05de",
        "\u05df\u05e0\u05e1\u05e2\u05e3 \u05e4\u05e5\u05e6\u05e7\u05e8",
    ]


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


@pytest.mark.parametrize(("size", "lower", "pitch"), [(14, 10, 20), (10, 6, 12)])
def test_columns_half_a_line_apart_are_not_run_together(
    read: Read, raw_pdf: PdfMaker, size: int, lower: int, pitch: int
) -> None:
    left = [f"the left column, line {i}" for i in range(12)]
    right = [f"the right column, line {i}" for i in range(12)]
    content = "".join(
        show(left[i], 50, 700 - pitch * i, size=size) + show(right[i], 330, 700 - pitch * i - lower, size=size)
        for i in range(12)
    )

    assert sorted(text_of(read(raw_pdf(content.encode())))) == sorted(left + right)


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


def test_a_page_cut_down_to_nothing_is_shown_and_read_whole(raw_pdf: PdfMaker, paragraph: tuple[str, ...]) -> None:
    content = "".join(show(line, 60, 700 - 20 * i) for i, line in enumerate(paragraph))
    path = raw_pdf(content.encode(), page="/CropBox[1000 1000 1200 1200]")

    with pypdfium2.PdfDocument(path) as document, reader._page(document, 1) as page:
        found, picture = read_text_layer(page, 1), render(page)

    assert text_of(found) == list(paragraph)
    assert found is not None
    assert (found.width, found.height) == (600, 800)
    assert found.lines[0].box[0] == pytest.approx(60 / 600, abs=0.005)
    assert picture is not None
    assert picture.min() < 100


def test_characters_beyond_the_first_plane_are_part_of_their_words(read: Read, raw_pdf: PdfMaker) -> None:
    # A, B and C are a mathematical A, a smiling face and a code without meaning.
    codes = "<41> <D835DC00> <42> <D83DDE00> <43> <DBC0DC00>"
    cmap = f"1 begincodespacerange <00> <ff> endcodespacerange 3 beginbfchar {codes} endbfchar"
    content = (
        show("Let A be a set, A+b in AA, and so on", 60, 700) + show("A good idea B", 60, 680) + show("BB", 60, 660)
    )
    stream = f"<</Length {len(cmap)}>>stream\n{cmap}\nendstream"

    page = read(raw_pdf(content.encode(), font="/ToUnicode 6 0 R", objects=(stream,)))

    assert text_of(page) == [
        "Let \U0001d400 be a set, \U0001d400+b in \U0001d400\U0001d400, and so on",
        "\U0001d400 good idea \U0001f600",
        "\U0001f600\U0001f600",
    ]
    assert page is not None
    boxes = [word.box for word in page.lines[0].words]
    assert boxes == sorted(boxes)
    assert boxes[1][2] - boxes[1][0] == pytest.approx(14 * 0.667 / 600, abs=0.003)
    assert read(raw_pdf((content + show("CCC", 60, 640)).encode(), font="/ToUnicode 6 0 R", objects=(stream,))) is None
