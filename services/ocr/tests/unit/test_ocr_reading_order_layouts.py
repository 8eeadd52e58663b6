"""Whole pages as boxes, put down in the order in which a person reads them and handed over as an engine finds them."""

import itertools

import numpy as np
import pytest

from alta_ocr.engines.reading_order import reading_order

LINE = 16
CHARACTER = 8
_LINES = (1.0, 0.95, 0.98, 0.92, 0.97, 0.45, 0.94)
"""How much of their column the lines of a text take up; the sixth ends a paragraph."""

_CELLS = (0.5, 0.95, 0.62, 1.0, 0.45, 0.8, 0.55, 0.7, 0.9)


class Sheet:
    """A page to put pieces on."""

    def __init__(self) -> None:
        self._boxes: list[tuple[float, float, float, float]] = []

    def piece(self, x: float, y: float, width: float, height: float = LINE) -> None:
        self._boxes.append((x, y, x + width, y + height))

    def text(self, x: float, y: float, width: float, lines: int, pitch: float = 20) -> float:
        """Put down lines of a text; return where the next line would stand."""
        for i, share in zip(range(lines), itertools.cycle(_LINES), strict=False):
            self.piece(x, y + i * pitch, share * width)
        return y + lines * pitch

    def table(self, y: float, rows: int, columns: list[tuple[float, float]], pitch: float = 24) -> float:
        """Put down rows of cells, at most as wide as their columns, `(x, width)` each."""
        shares = itertools.cycle(_CELLS)
        for i in range(rows):
            for x, width in columns:
                self.piece(x, y + i * pitch, next(shares) * width)
        return y + rows * pitch

    def misread(self) -> list[int]:
        """Return the pieces that are not read when they should be, by their place in the right order."""
        boxes = np.array(self._boxes)
        found = np.lexsort((boxes[:, 0], boxes[:, 1]))
        lengths = ((boxes[:, 2] - boxes[:, 0]) / CHARACTER).astype(int)
        read = found[reading_order(boxes[found], lengths[found]).order].tolist()
        return [i for i, j in enumerate(read) if i != j]


@pytest.fixture
def sheet() -> Sheet:
    return Sheet()


@pytest.mark.parametrize("pitch", [19, 22, 26, 32])
@pytest.mark.parametrize("shift", [0, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("columns", [2, 3])
def test_columns_need_not_be_in_step(sheet: Sheet, columns: int, shift: float, pitch: float) -> None:
    for i in range(columns):
        sheet.text(60 + i * 900 / columns, 100 + i * shift * pitch, 900 / columns - 30, 36, pitch)

    assert sheet.misread() == []


@pytest.mark.parametrize("pitch", [17, 20, 24])
def test_a_column_beside_the_text_may_be_set_in_another_size(sheet: Sheet, pitch: float) -> None:
    sheet.text(40, 100, 230, 30, pitch)
    sheet.text(310, 107, 640, 36)

    assert sheet.misread() == []


@pytest.mark.parametrize("shift", [0, 10])
@pytest.mark.parametrize(("lines", "full"), [(7, 10), (9, 40)])
def test_a_short_part_in_columns_is_read_as_such(sheet: Sheet, lines: int, full: int, shift: float) -> None:
    y = sheet.text(60, 60, 880, full) + 20
    sheet.text(60, y, 420, lines)
    y = sheet.text(520, y + shift, 420, lines) + 20
    sheet.text(60, y, 880, full)

    assert sheet.misread() == []


def test_columns_that_a_heading_parts_go_on_below_it_however_few_their_lines(sheet: Sheet) -> None:
    for y, lines in ((60, 12), (340, 3), (440, 4)):
        sheet.text(60, y, 420, lines)
        sheet.text(520, y, 420, lines)
        sheet.piece(200, y + lines * 20 + 4, 600)

    assert sheet.misread() == []


@pytest.mark.parametrize("shift", [0, 10])
def test_running_heads_come_first_and_the_page_number_last(sheet: Sheet, shift: float) -> None:
    sheet.piece(60, 40, 160)
    sheet.piece(780, 40, 160)
    sheet.text(60, 100, 420, 36)
    sheet.text(520, 100 + shift, 420, 36)
    sheet.piece(60, 880, 24)

    assert sheet.misread() == []


def test_a_number_in_the_gutter_stands_below_both_columns(sheet: Sheet) -> None:
    sheet.text(60, 100, 420, 36)
    sheet.text(520, 110, 420, 36)
    sheet.piece(490, 850, 24)

    assert sheet.misread() == []


@pytest.mark.parametrize("shift", [0, 10])
def test_a_picture_in_one_column_leaves_the_other_alone(sheet: Sheet, shift: float) -> None:
    y = sheet.text(60, 100, 420, 8)
    sheet.piece(150, y + 300, 240)
    sheet.text(60, y + 340, 420, 10)
    sheet.text(520, 100 + shift, 420, 36)

    assert sheet.misread() == []


@pytest.mark.parametrize("shift", [0, 10])
@pytest.mark.parametrize(("left", "right"), [(40, 24), (24, 40)])
def test_columns_may_end_at_different_heights(sheet: Sheet, left: int, right: int, shift: float) -> None:
    sheet.text(60, 100, 420, left)
    sheet.text(520, 100 + shift, 420, right)

    assert sheet.misread() == []


def test_a_heading_over_two_of_three_columns_parts_only_these(sheet: Sheet) -> None:
    sheet.text(60, 60, 275, 14)
    sheet.text(360, 70, 275, 14)
    sheet.piece(60, 360, 570, 28)
    sheet.text(60, 400, 275, 14)
    sheet.text(360, 410, 275, 14)
    sheet.text(660, 65, 275, 30)

    assert sheet.misread() == []


def test_a_quotation_that_the_columns_run_around_does_not_part_them(sheet: Sheet) -> None:
    for x, beside in ((60, 60), (520, 660)):
        y = sheet.text(x, 100, 420, 12)
        y = sheet.text(beside, y, 280, 6)
        sheet.text(x, y, 420, 14)
        if x == 60:
            for i in range(4):
                sheet.piece(370, 346 + i * 22, 250, 20)

    assert sheet.misread() == []


def test_a_table_within_a_column_is_read_row_by_row(sheet: Sheet) -> None:
    sheet.text(60, 110, 420, 38)
    y = sheet.text(520, 100, 420, 12)
    y = sheet.table(y + 20, 8, [(530, 120), (690, 60), (800, 50), (880, 40)])
    sheet.text(520, y + 20, 420, 14)

    assert sheet.misread() == []


@pytest.mark.parametrize("first", ["columns", "table"])
def test_a_table_on_a_page_with_columns_is_read_row_by_row(sheet: Sheet, first: str) -> None:
    y: float = 60
    for part in ("columns", "table") if first == "columns" else ("table", "columns"):
        if part == "table":
            y = sheet.table(y + 30, 14, [(60, 130), (300, 90), (540, 90), (760, 90)])
        else:
            sheet.text(60, y + 30, 420, 20)
            y = sheet.text(520, y + 30, 420, 20)

    assert sheet.misread() == []


@pytest.mark.parametrize(
    "columns",
    [
        [(100, 260), (600, 60)],
        [(60, 520), (640, 60)],
        [(60, 20), (110, 330), (480, 60), (560, 60)],
        [(60, 400), (520, 420)],
        [(60, 270), (360, 270), (660, 270)],
        [(60, 250), (330, 280), (640, 90), (760, 90), (880, 60)],
        [(60, 140), (220, 200), (520, 140), (680, 200)],
        *([(60 + i * 880 // k, min(130, 880 // k - 30)) for i in range(k)] for k in range(2, 7)),
    ],
    ids=["receipt", "leaders", "amounts", "two texts", "three texts", "goods", "form", *"23456"],
)
def test_receipts_tables_and_forms_are_read_row_by_row(sheet: Sheet, columns: list[tuple[float, float]]) -> None:
    sheet.table(80, 25, columns)

    assert sheet.misread() == []
