"""Lines of pages that were laid askew, or seen in perspective, come back into rows."""

import itertools
import math

import numpy as np
import pytest

from alta_ocr.engines.levelling import Slant
from alta_ocr.engines.reading_order import rows_of
from alta_ocr.engines.spotted import Quad

ROWS, COLUMNS = 24, 4


def table() -> list[Quad]:
    """The cells of a table, row by row."""
    cells = []
    for row, column in itertools.product(range(ROWS), range(COLUMNS)):
        x, y = 100 + 380 * column, 100 + 60 * row
        cells.append(np.array([(x, y), (x + 220, y), (x + 220, y + 30), (x, y + 30)], dtype=np.float64))
    return cells


def turned(quad: Quad, degrees: float) -> Quad:
    angle = math.radians(degrees)
    matrix = np.array([(math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))])
    return quad @ matrix


def seen_from_below(quad: Quad) -> Quad:
    """The page as a camera sees it that looks from below and from one side."""
    depth = 1 + 0.00012 * quad[:, 1] + 0.00006 * quad[:, 0]
    return quad / depth[:, None]


def rows_by(quads: list[Quad]) -> list[list[int]]:
    corners = Slant.of(quads).levelled(np.array(quads))
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return [row.tolist() for row in rows_of(boxes)]


IN_ORDER = [list(range(row * COLUMNS, (row + 1) * COLUMNS)) for row in range(ROWS)]


@pytest.mark.parametrize("degrees", [0, 1, -3, 5, -10, 15, -15])
def test_the_rows_of_a_page_that_lies_askew_are_rows_again(degrees: float) -> None:
    quads = [turned(quad, degrees) for quad in table()]

    assert math.degrees(Slant.of(quads).angle) == pytest.approx(degrees, abs=0.01)
    assert rows_by(quads) == IN_ORDER


@pytest.mark.parametrize("degrees", [0, 4, -12])
def test_the_rows_of_a_page_seen_in_perspective_are_rows_again(degrees: float) -> None:
    assert rows_by([turned(seen_from_below(quad), degrees) for quad in table()]) == IN_ORDER


def test_a_stamp_and_a_headline_set_askew_do_not_count() -> None:
    across_the_page = turned(np.array([(300, 500), (900, 500), (900, 560), (300, 560)], dtype=np.float64), 30)
    up_the_margin = np.array([(20, 900), (20, 200), (60, 200), (60, 900)], dtype=np.float64)

    slant = Slant.of([*table(), across_the_page, up_the_margin])

    assert slant.angle == 0
    assert abs(slant.fan) < 1e-6


@pytest.mark.parametrize("quads", [[], [np.array([(0, 0), (10, 0), (10, 10), (0, 10)], dtype=np.float64)]])
def test_where_nothing_tells_the_slant_nothing_is_moved(quads: list[Quad]) -> None:
    points = np.array([(3.0, 4.0), (500.0, 20.0)])

    assert Slant.of(quads).levelled(points).tolist() == points.tolist()
