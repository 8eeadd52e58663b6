"""Reading a page by looking at it: from a picture to a canonical page."""

import numpy as np
from numpy.typing import NDArray

from alta_common.contracts.results import Line, Page, Word
from alta_ocr.engines.levelling import Slant
from alta_ocr.engines.orientation import Reader, Upright, read_upright
from alta_ocr.engines.reading_order import labels_of, reading_order
from alta_ocr.engines.rendering import Picture
from alta_ocr.engines.spotted import Box, SpottedLine

_GARBAGE = 0.5
"""Lines that score lower are what the engine sees in pictures and stains."""

_DIGITS = 5


def read_picture(picture: Picture, number: int, size: tuple[float, float], unit: str, reader: Reader) -> Page:
    """Return page `number`, whose `size` in `unit` is that of the original, as `reader` reads its `picture`."""
    seen = read_upright(picture, reader)
    width, height = size if seen.rotation in (0, 180) else (size[1], size[0])
    lines = _lines(seen)
    scores = [word.confidence for line in lines for word in line.words if word.confidence is not None]
    return Page(
        number=number,
        width=width,
        height=height,
        unit=unit,
        rotation=seen.rotation,
        confidence=round(float(np.mean(scores)), _DIGITS) if scores else None,
        lines=lines,
    )


def _lines(seen: Upright) -> list[Line]:
    legible = [line for line in seen.lines if line.score >= _GARBAGE]
    slant = Slant.of([line.quad for line in legible])
    legible = _with_labels(legible, slant)
    height, width = seen.picture.shape[:2]
    return [_line(legible[i], width, height) for i in reading_order(*_geometry(legible, slant)).order]


def _with_labels(lines: list[SpottedLine], slant: Slant) -> list[SpottedLine]:
    """Join numbers and bullets with the lines that they belong to."""
    labels = labels_of(*_geometry(lines, slant))
    joined = {i: line for i, line in enumerate(lines) if i not in labels}
    for label, i in labels.items():
        joined[i] = lines[label].followed_by(joined[i])
    return list(joined.values())


def _geometry(lines: list[SpottedLine], slant: Slant) -> tuple[NDArray[np.float64], NDArray[np.int_]]:
    """Return the boxes of the lines on the page laid straight, and how many characters each has."""
    corners = slant.levelled(np.array([line.quad for line in lines], dtype=np.float64).reshape(-1, 4, 2))
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return boxes, np.array([len(line.text) for line in lines], dtype=np.int_)


def _line(line: SpottedLine, width: int, height: int) -> Line:
    def share(box: Box) -> Box:
        x0, y0, x1, y1 = box[0] / width, box[1] / height, box[2] / width, box[3] / height
        return (_rounded(x0), _rounded(y0), _rounded(x1), _rounded(y1))

    words = [Word(text=word.text, confidence=round(word.score, _DIGITS), box=share(word.box)) for word in line.words]
    return Line(text=line.text, confidence=round(line.score, _DIGITS), box=share(line.box), words=words)


def _rounded(share: float) -> float:
    return round(min(max(share, 0.0), 1.0), _DIGITS)
