"""Which way up a page is, told by a reader that reads like the engine: well in one direction only."""

import numpy as np
import pytest

from alta_ocr.engines.orientation import read_upright
from alta_ocr.engines.rendering import Picture
from alta_ocr.engines.spotted import FoundLine, SpottedLine

UP, DOWN = 200, 90
"""Gray of the upper and of the lower half of a strip: how this reader sees which way round a line is."""


class Reader:
    """Finds a line in each of the page's rows of marks, and reads it well where its upper half is the lighter one."""

    def __init__(self, well: float = 0.99, badly: float = 0.7) -> None:
        self.looks = 0
        self.read_lines = 0
        self._well, self._badly = well, badly

    def find(self, picture: Picture) -> list[FoundLine]:
        """Find three lines, as RapidOCR frames them: those that stand on their end are taken for going down."""
        self.looks += 1
        gray = picture[:, :, 0]
        if not gray.any():
            return []
        lies = bool((gray == gray[0]).all())
        view = np.rot90(gray) if lies else gray
        strip = np.repeat(view[:, :, None], 3, axis=2)
        corners = [(10, 10), (30, 10), (30, 90), (10, 90)] if lies else [(10, 10), (90, 10), (90, 30), (10, 30)]
        quad = np.array(corners, dtype=np.float64)[[1, 2, 3, 0] if lies else [0, 1, 2, 3]]
        return [FoundLine(quad + np.array([0, 40 * row]), strip) for row in range(3)]

    def read(self, lines: list[FoundLine]) -> list[SpottedLine]:
        """Read each line with the score that its direction deserves."""
        self.read_lines += len(lines)
        return [
            SpottedLine("some words", self._well if line.strip[0, 0, 0] == UP else self._badly, line.quad, [])
            for line in lines
        ]


def page_turned(clockwise: int) -> Picture:
    """A page whose lines are lighter above than below, turned."""
    page = np.full((100, 100, 3), DOWN, dtype=np.uint8)
    page[:50] = UP
    return np.ascontiguousarray(np.rot90(page, -clockwise // 90))


@pytest.mark.parametrize(("turned", "looks"), [(0, 1), (90, 2), (180, 2), (270, 2)])
def test_a_page_is_turned_until_it_reads_well_and_read_once(turned: int, looks: int) -> None:
    reader = Reader()

    upright = read_upright(page_turned(turned), reader)

    assert (upright.rotation + turned) % 360 == 0
    assert (upright.picture == page_turned(0)).all()
    assert [line.score for line in upright.lines] == [0.99] * 3
    assert reader.looks == looks


def test_a_page_that_reads_well_is_not_read_the_other_way() -> None:
    reader = Reader()

    read_upright(page_turned(0), reader)

    assert reader.read_lines == 6


@pytest.mark.parametrize("turned", [0, 180])
def test_a_page_that_reads_as_badly_either_way_stays_as_it_is(turned: int) -> None:
    assert read_upright(page_turned(turned), Reader(well=0.71, badly=0.7)).rotation == 0


def test_a_blank_page_has_no_lines() -> None:
    upright = read_upright(np.zeros((80, 60, 3), dtype=np.uint8), Reader())

    assert (upright.rotation, upright.lines) == (0, [])


def test_a_stamp_that_runs_up_the_margin_of_an_upright_page_is_read_upwards() -> None:
    class Stamped(Reader):
        def find(self, picture: Picture) -> list[FoundLine]:
            upwards = np.full((20, 30, 3), DOWN, dtype=np.uint8)
            downwards_frame = np.array([[5, 10], [5, 40], [0, 40], [0, 10]], dtype=np.float64)
            return [*super().find(picture), FoundLine(downwards_frame, upwards[::-1].copy())]

        def read(self, lines: list[FoundLine]) -> list[SpottedLine]:
            return [
                SpottedLine("stamp", 0.99 if line.direction < 0 else 0.6, line.quad, [])
                if abs(line.direction) == 90
                else SpottedLine("prose", 0.99, line.quad, [])
                for line in lines
            ]

    upright = read_upright(page_turned(0), Stamped())

    assert {(line.text, line.score) for line in upright.lines} == {("prose", 0.99), ("stamp", 0.99)}
