"""Tall pictures (receipts, screenshots of whole pages) are looked at in overlapping tiles.

Shrunk to what the engine looks at, their lines would be too small to read; unshrunk, a thin one takes gigabytes.
"""

from collections.abc import Callable

from alta_ocr.engines.limits import TALL_ASPECT
from alta_ocr.engines.rendering import Picture
from alta_ocr.engines.spotted import Box, FoundLine, bounds

Find = Callable[[Picture], list[FoundLine]]

_TILE_PX = 1600
_OVERLAP_PX = 160
"""Twice the height of the highest line that stays whole at a seam."""

_SAME = 0.5
"""Of the smaller line: what is shared by two that are one."""


def find_in_tiles(picture: Picture, find: Find) -> list[FoundLine]:
    """Return the lines of `picture`, looked at as a whole or, when it is tall, tile by tile."""
    height, width = picture.shape[:2]
    if height <= TALL_ASPECT * width:
        return find(picture)
    tops = _tops(height)
    found: list[FoundLine] = []
    for i, top in enumerate(tops):
        upper_seam = top + _OVERLAP_PX / 2 if i else 0
        lower_seam = tops[i + 1] + _OVERLAP_PX / 2 if i + 1 < len(tops) else height
        lines = (line.moved(0, top) for line in find(picture[top : top + _TILE_PX]))
        # A line in the overlap is seen twice; it belongs to the tile on whose side of the seam its middle lies.
        found += [line for line in lines if upper_seam <= line.quad[:, 1].mean() < lower_seam]
    return without_doubles(found)


def _tops(height: int) -> list[int]:
    tops = list(range(0, max(height - _OVERLAP_PX, 1), _TILE_PX - _OVERLAP_PX))
    return tops or [0]


def without_doubles(lines: list[FoundLine]) -> list[FoundLine]:
    """Return `lines` without those that lie in others, as when two tiles saw one on different sides of their seam."""
    kept: list[tuple[FoundLine, Box]] = []
    for line, box in sorted(((line, bounds(line.quad)) for line in lines), key=lambda one: -_area(one[1])):
        if not any(_overlap(box, other) > _SAME for _, other in kept):
            kept.append((line, box))
    return [line for line, _ in kept]


def _overlap(one: Box, other: Box) -> float:
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = one, other
    shared = max(0.0, min(ax1, bx1) - max(ax0, bx0)) * max(0.0, min(ay1, by1) - max(ay0, by0))
    smaller = min(_area(one), _area(other))
    return shared / smaller if smaller > 0 else 0.0


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
