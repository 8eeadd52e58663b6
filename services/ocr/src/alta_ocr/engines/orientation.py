"""Which way up a page is, told from how well it reads.

Lines are found whichever way up they are. Where they run across the page it is upright or upside down, where they run
up or down it lies on one of its sides: a few lines, read both ways, say which. Upright lines score 0.96 and better,
upside-down ones 0.62 to 0.75 where there is prose. This beats the engine's own classifier, which turns single lines.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from alta_ocr.engines.closeup import find_lines
from alta_ocr.engines.rendering import Picture
from alta_ocr.engines.spotted import FoundLine, SpottedLine, reads_well

_CERTAIN = 0.97
_CLEARLY = 0.02
"""How much better a page must read the other way before it is turned."""

_STEEP = 0.5
"""The cosine of 60 degrees: further off the level no page is askew."""

_HALF_TURN = 180

_SAMPLED_LINES = 6
_SAMPLED_PX = 400
"""Of the middle of a line, as high as the recogniser wants it: enough words to tell."""


class Reader(Protocol):
    """Finds lines and reads them: `alta_ocr.engines.rapid.RapidEngine`."""

    def find(self, picture: Picture) -> list[FoundLine]:
        """Return where lines of text stand in `picture`."""
        ...

    def read(self, lines: list[FoundLine]) -> list[SpottedLine]:
        """Return what `lines` say."""
        ...


@dataclass(frozen=True)
class Upright:
    """A picture turned clockwise by `rotation` degrees so that its text stands upright, and the lines read."""

    picture: Picture
    rotation: int
    lines: list[SpottedLine]


def read_upright(picture: Picture, reader: Reader) -> Upright:
    """Return the lines of `picture` the right way up."""
    found = find_lines(picture, reader.find)
    rotation = _rotation(found, reader)
    if rotation:
        picture = np.ascontiguousarray(np.rot90(picture, k=-rotation // 90))
        found = find_lines(picture, reader.find)
    return Upright(picture, rotation, _read_all(found, reader))


def _read_all(found: list[FoundLine], reader: Reader) -> list[SpottedLine]:
    """Read all lines; a stamp in the margin either way: the detector cannot say whether it runs up or down."""
    standing = [line for line in found if _stands(line)]
    lines = reader.read([line for line in found if not _stands(line)])
    for line in standing:
        read = reader.read([line])
        if reads_well(read) < _CERTAIN:
            read = max(read, reader.read([line.reversed()]), key=reads_well)
        lines += read
    return lines


def _stands(line: FoundLine) -> bool:
    return abs(math.cos(math.radians(line.direction))) < _STEEP


def _rotation(found: list[FoundLine], reader: Reader) -> int:
    """Return by how many degrees clockwise the page is to be turned."""
    directions = (90, -90) if _lies_on_its_side(found) else (0, 180)
    sample = [_middle_of(line) for line in _telling(found)]
    scores = []
    for direction in directions:
        scores.append(reads_well(reader.read([_along(line, direction) for line in sample])))
        if direction == 0 and scores[0] >= _CERTAIN:
            return 0
    return -directions[scores[1] > scores[0] + _CLEARLY] % 360


def _lies_on_its_side(found: list[FoundLine]) -> bool:
    """Say whether more of the text's length is vertical than horizontal."""
    reach = [(line.length * abs(math.cos(angle)), line.length * abs(math.sin(angle))) for line, angle in _angles(found)]
    return sum(down for _, down in reach) > sum(across for across, _ in reach)


def _angles(found: list[FoundLine]) -> list[tuple[FoundLine, float]]:
    return [(line, math.radians(line.direction)) for line in found]


def _along(line: FoundLine, direction: int) -> FoundLine:
    """Return `line` with its text running the way that `direction` (degrees) points, more or less."""
    apart = abs((line.direction - direction + _HALF_TURN) % (2 * _HALF_TURN) - _HALF_TURN)
    return line.reversed() if apart > _HALF_TURN / 2 else line


def _telling(found: list[FoundLine]) -> list[FoundLine]:
    """Return the lines that say most about which way up they are: long ones, from all over the page."""
    long = sorted(found, key=lambda line: -line.strip.shape[1])[: 3 * _SAMPLED_LINES]
    return long[:: max(1, len(long) // _SAMPLED_LINES)][:_SAMPLED_LINES]


def _middle_of(line: FoundLine) -> FoundLine:
    width = line.strip.shape[1]
    start = max(0, (width - _SAMPLED_PX) // 2)
    return FoundLine(line.quad, line.strip[:, start : start + _SAMPLED_PX])
