"""Which way up a page is, told from how well it reads.

Upright pages score 0.96 and better, upside-down ones 0.62 to 0.75; lines of a page that lies on its side run up or
down. This beats the engine's own classifier, which turns single lines.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alta_ocr.engines.rapid import SpottedLine
from alta_ocr.engines.rendering import Picture

Spot = Callable[[Picture], list[SpottedLine]]

_READS_WELL = 0.85


@dataclass(frozen=True)
class Upright:
    """A picture turned clockwise by `rotation` degrees so that its text stands upright, and the lines found."""

    picture: Picture
    rotation: int
    lines: list[SpottedLine]

    @property
    def score(self) -> float:
        """Return how well it reads: the lines' scores, long lines counting more."""
        characters = sum(len(line.text) for line in self.lines)
        return sum(line.score * len(line.text) for line in self.lines) / characters if characters else 0.0


def spot_upright(picture: Picture, spot: Spot) -> Upright:
    """Return the lines of `picture` the right way up: one look when it is upright, else two or three."""
    seen = Upright(picture, 0, spot(picture))
    if _lies_on_its_side(seen.lines):
        # The engine reads lines that run downwards: when it could, the page was turned clockwise.
        seen = _better(seen, _turned(picture, 270 if seen.score >= _READS_WELL else 90, spot))
    if seen.lines and seen.score < _READS_WELL:
        seen = _better(seen, _turned(picture, (seen.rotation + 180) % 360, spot))
    return seen


def _turned(picture: Picture, rotation: int, spot: Spot) -> Upright:
    turned = np.ascontiguousarray(np.rot90(picture, k=-rotation // 90))
    return Upright(turned, rotation, spot(turned))


def _better(one: Upright, other: Upright) -> Upright:
    if _lies_on_its_side(one.lines) and other.score >= _READS_WELL:
        # It may read as well on its side, but its lines could not be put in order.
        return other
    return max(one, other, key=lambda seen: seen.score)


def _lies_on_its_side(lines: list[SpottedLine]) -> bool:
    """Say whether more of the text's length is vertical than horizontal."""
    vertical = sum(line.box[3] - line.box[1] for line in lines if line.is_vertical)
    horizontal = sum(line.box[2] - line.box[0] for line in lines if not line.is_vertical)
    return vertical > horizontal
