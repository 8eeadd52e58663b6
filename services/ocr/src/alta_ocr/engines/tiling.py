"""Tall pictures (receipts, screenshots of whole pages) are read in overlapping tiles.

Shrunk to what the engine looks at, their lines would be too small to read; unshrunk, a thin one takes gigabytes.
"""

from collections.abc import Callable
from dataclasses import replace

from alta_ocr.engines.limits import TALL_ASPECT
from alta_ocr.engines.rapid import SpottedLine
from alta_ocr.engines.rendering import Picture

Spot = Callable[[Picture], list[SpottedLine]]

_TILE_PX = 1600
_OVERLAP_PX = 160
"""Twice the height of the highest line that stays whole at a seam."""


def spot_in_tiles(picture: Picture, spot: Spot) -> list[SpottedLine]:
    """Return the lines of `picture`, looked at as a whole or, when it is tall, tile by tile."""
    height, width = picture.shape[:2]
    if height <= TALL_ASPECT * width:
        return spot(picture)
    tops = _tops(height)
    found: list[SpottedLine] = []
    for i, top in enumerate(tops):
        upper_seam = top + _OVERLAP_PX / 2 if i else 0
        lower_seam = tops[i + 1] + _OVERLAP_PX / 2 if i + 1 < len(tops) else height
        lines = (_moved(line, top) for line in spot(picture[top : top + _TILE_PX]))
        # A line in the overlap is seen twice; it belongs to the tile on whose side of the seam its middle lies.
        found += [line for line in lines if upper_seam <= _middle(line) < lower_seam]
    return _without_doubles(found)


def _tops(height: int) -> list[int]:
    tops = list(range(0, max(height - _OVERLAP_PX, 1), _TILE_PX - _OVERLAP_PX))
    return tops or [0]


def _moved(line: SpottedLine, down: int) -> SpottedLine:
    words = [replace(word, box=_shifted(word.box, down)) for word in line.words]
    return replace(line, box=_shifted(line.box, down), words=words)


def _shifted(box: tuple[float, float, float, float], down: int) -> tuple[float, float, float, float]:
    return box[0], box[1] + down, box[2], box[3] + down


def _middle(line: SpottedLine) -> float:
    return (line.box[1] + line.box[3]) / 2


def _without_doubles(lines: list[SpottedLine]) -> list[SpottedLine]:
    """Drop what both tiles claimed because they saw its middle on different sides of the seam."""
    kept: list[SpottedLine] = []
    for line in sorted(lines, key=lambda line: -line.score):
        if not any(_overlap(line, other) > 0.5 for other in kept):  # noqa: PLR2004  # half of the smaller one
            kept.append(line)
    return kept


def _overlap(one: SpottedLine, other: SpottedLine) -> float:
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = one.box, other.box
    shared = max(0.0, min(ax1, bx1) - max(ax0, bx0)) * max(0.0, min(ay1, by1) - max(ay0, by0))
    smaller = min((ax1 - ax0) * (ay1 - ay0), (bx1 - bx0) * (by1 - by0))
    return shared / smaller if smaller > 0 else 0.0
