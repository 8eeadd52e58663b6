"""Where lines are looked for: in the whole picture, tile by tile, or closer where there is little to see."""

import numpy as np

from alta_ocr.engines.closeup import find_lines
from alta_ocr.engines.rendering import Picture
from alta_ocr.engines.spotted import FoundLine
from alta_ocr.engines.tiling import find_in_tiles

STRIP = np.zeros((48, 100, 3), dtype=np.uint8)


def line(x0: float, y0: float, x1: float, y1: float) -> FoundLine:
    return FoundLine(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], dtype=np.float64), STRIP)


def test_an_ordinary_page_is_looked_at_as_a_whole() -> None:
    seen = []

    find_in_tiles(np.zeros((2000, 1000, 3), dtype=np.uint8), lambda tile: seen.append(tile.shape) or [])

    assert seen == [(2000, 1000, 3)]


def test_every_line_of_a_tall_page_is_found_once_and_whole() -> None:
    rows = range(20, 5980, 40)
    tall = np.zeros((6000, 400, 3), dtype=np.uint8)
    for y in rows:
        tall[y, 0] = 255

    def find(tile: Picture) -> list[FoundLine]:
        """Find what begins in the tile; cut off at its lower edge."""
        return [line(10, y, 390, min(y + 24, len(tile))) for y in np.nonzero(tile[:, 0, 0])[0]]

    found = find_in_tiles(tall, find)

    assert sorted(one.quad[0, 1] for one in found) == list(rows)
    assert {one.quad[3, 1] - one.quad[0, 1] for one in found} == {24}


def test_a_word_that_was_overlooked_on_an_empty_page_is_found_by_looking_closer() -> None:
    page = np.full((1700, 1200, 3), 240, dtype=np.uint8)
    page[800:840, 500:620] = 20

    def find(picture: Picture) -> list[FoundLine]:
        return [line(60, 60, 180, 100)] if picture.shape[0] < 400 else []

    [found] = find_lines(page, find)

    assert found.quad[0].tolist() == [500, 800]
    assert found.quad[2].tolist() == [620, 840]


def test_an_empty_page_is_not_looked_at_again() -> None:
    looks = []

    found = find_lines(np.full((1700, 1200, 3), 240, dtype=np.uint8), lambda picture: looks.append(picture) or [])

    assert (found, len(looks)) == ([], 1)


def test_a_picture_of_anything_is_not_looked_at_again() -> None:
    looks = []
    noise = np.random.default_rng(1).integers(0, 255, (400, 400, 3), dtype=np.uint8)

    find_lines(noise, lambda picture: looks.append(picture) or [])

    assert len(looks) == 1
