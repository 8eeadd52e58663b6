"""A word alone on an empty page is overlooked: the detector wants company, or a closer look."""

import cv2
import numpy as np

from alta_ocr.engines.rendering import Picture
from alta_ocr.engines.spotted import FoundLine
from alta_ocr.engines.tiling import Find, find_in_tiles, without_doubles

_FEW_LINES = 3
_MARGIN_PX = 60
_SMALL_PART = 0.5
_CLEARLY_MORE = 1.2
_INK = 60
"""How much darker or lighter than the paper ink is, of 255."""


def find_lines(picture: Picture, find: Find) -> list[FoundLine]:
    """Return where lines of text stand in `picture`; where there are few, look closer at what is not paper."""
    found = find_in_tiles(picture, find)
    if len(found) >= _FEW_LINES:
        return found
    left, top, right, bottom = _inked(picture)
    height, width = picture.shape[:2]
    if (right - left) * (bottom - top) > _SMALL_PART * width * height or right <= left:
        return found
    closer = without_doubles(find_in_tiles(picture[top:bottom, left:right], find))
    if _length(closer) < _CLEARLY_MORE * _length(found):
        return found
    return [line.moved(left, top) for line in closer]


def _length(lines: list[FoundLine]) -> float:
    return sum(line.length for line in lines)


def _inked(picture: Picture) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of what stands on the paper, with a margin; all zero for an empty page."""
    gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.int16)
    ink = np.abs(gray - int(np.median(gray))) > _INK
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    height, width = picture.shape[:2]
    left, right = max(0, columns[0] - _MARGIN_PX), min(width, columns[-1] + _MARGIN_PX)
    top, bottom = max(0, rows[0] - _MARGIN_PX), min(height, rows[-1] + _MARGIN_PX)
    return int(left), int(top), int(right), int(bottom)
