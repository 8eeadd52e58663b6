import numpy as np
import pytest

from alta_ocr.engines.orientation import spot_upright
from alta_ocr.engines.rapid import SpottedLine
from alta_ocr.engines.rendering import Picture
from alta_ocr.engines.tiling import spot_in_tiles


def page_turned(clockwise: int) -> Picture:
    """A page whose upper left corner is marked, turned."""
    page = np.zeros((80, 60, 3), dtype=np.uint8)
    page[0, 0] = 255
    return np.rot90(page, -clockwise // 90)


def line(box: tuple[float, float, float, float], score: float, text: str = "some line of text") -> SpottedLine:
    return SpottedLine(text, score, box, [])


class Reader:
    """Reads like the engine: well when upright or turned clockwise once, badly otherwise."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, picture: Picture) -> list[SpottedLine]:
        self.looks += 1
        height, width = picture.shape[:2]
        marked = {corner: bool(picture[corner].max()) for corner in ((0, 0), (0, width - 1), (height - 1, 0))}
        if height > width:
            return [line((5, 10, 55, 16), 0.99 if marked[0, 0] else 0.65)]
        return [line((10, 5, 16, 55), 0.98 if marked[0, width - 1] else 0.6)]


@pytest.mark.parametrize(("turned", "looks"), [(0, 1), (90, 2), (180, 2), (270, 2)])
def test_a_page_is_turned_until_it_reads_well(turned: int, looks: int) -> None:
    reader = Reader()

    upright = spot_upright(page_turned(turned), reader)

    assert (upright.rotation + turned) % 360 == 0
    assert upright.picture[0, 0].max() == 255
    assert upright.score > 0.9
    assert reader.looks == looks


def test_a_page_that_reads_badly_either_way_stays_as_it_is() -> None:
    upright = spot_upright(page_turned(0), lambda _: [line((5, 10, 55, 16), 0.7)])

    assert upright.rotation == 0


def test_a_blank_page_is_looked_at_once() -> None:
    looks = []

    upright = spot_upright(page_turned(0), lambda picture: looks.append(picture) or [])

    assert upright.lines == []
    assert len(looks) == 1


def test_an_ordinary_page_is_read_as_a_whole() -> None:
    seen = []

    spot_in_tiles(np.zeros((2000, 1000, 3), dtype=np.uint8), lambda tile: seen.append(tile.shape) or [])

    assert seen == [(2000, 1000, 3)]


def test_every_line_of_a_tall_page_is_found_once() -> None:
    rows = range(20, 5980, 40)
    tall = np.zeros((6000, 400, 3), dtype=np.uint8)
    for y in rows:
        tall[y, 0] = 255

    def spot(tile: Picture) -> list[SpottedLine]:
        """Find what begins in the tile; at its lower edge, cut off, less surely."""
        found = []
        for y in np.nonzero(tile[:, 0, 0])[0]:
            bottom = min(y + 24, tile.shape[0])
            found.append(line((10, float(y), 390, float(bottom)), 0.9 if bottom == y + 24 else 0.6))
        return found

    lines = spot_in_tiles(tall, spot)

    assert sorted(line.box[1] for line in lines) == list(rows)
    assert {line.score for line in lines} == {0.9}
