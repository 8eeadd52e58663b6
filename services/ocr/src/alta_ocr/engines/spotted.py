"""What is found on a picture: lines as the detector frames them, and as the recogniser reads them."""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from alta_ocr.engines.rendering import Picture

Quad = NDArray[np.float64]
"""Corners of a framed line, `(4, 2)` x and y in pixels: clockwise, beginning where its text begins, at its top."""

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""


@dataclass(frozen=True)
class FoundLine:
    """A line that was found in a picture and is still to be read."""

    quad: Quad
    strip: Picture
    """The line alone, level, as high as the recogniser wants it."""

    @property
    def length(self) -> float:
        """Return how long the line is, in pixels of the picture."""
        return float(np.linalg.norm(self.quad[1] - self.quad[0]))

    @property
    def direction(self) -> float:
        """Return where the text runs, in degrees clockwise from rightwards: above -180, up to 180."""
        across, down = (self.quad[1] + self.quad[2] - self.quad[0] - self.quad[3]) / 2
        return math.degrees(math.atan2(float(down), float(across)))

    def moved(self, across: float, down: float) -> Self:
        """Return the line as it stands in a picture of which this one is a part."""
        return replace(self, quad=self.quad + np.array([across, down]))

    def reversed(self) -> Self:
        """Return the line as if its text ran the other way."""
        return replace(self, quad=self.quad[[2, 3, 0, 1]], strip=np.ascontiguousarray(self.strip[::-1, ::-1]))


@dataclass(frozen=True)
class SpottedWord:
    """A word of a line that was read."""

    text: str
    score: float
    box: Box


@dataclass(frozen=True)
class SpottedLine:
    """A line that was read; garbage has a low score."""

    text: str
    score: float
    quad: Quad
    words: list[SpottedWord]

    @property
    def box(self) -> Box:
        """Return what the line takes up of the picture."""
        return bounds(self.quad)

    def followed_by(self, other: "SpottedLine") -> "SpottedLine":
        """Return one line made of this and `other`, which stands right of it."""
        length = len(self.text) + len(other.text)
        return SpottedLine(
            text=f"{self.text} {other.text}",
            score=(self.score * len(self.text) + other.score * len(other.text)) / length,
            quad=np.array([self.quad[0], other.quad[1], other.quad[2], self.quad[3]]),
            words=self.words + other.words,
        )


@dataclass(frozen=True)
class Columns:
    """Where along a line the recogniser saw its characters: their middles, in shares of the line's length."""

    middles: list[float]
    scores: list[float]
    """Of all characters, spaces included."""

    @classmethod
    def of(cls, info: Any, share: float) -> Self:
        """Read RapidOCR's `WordInfo` of a strip of which the line takes up `share`."""
        length = max(info.line_txt_len * share, 1e-6)
        return cls([(column + 0.5) / length for word in info.word_cols for column in word], info.confs)


def spotted(found: FoundLine, text: str, score: float, columns: Columns) -> SpottedLine:
    """Return `found` as it was read."""
    return SpottedLine(text.strip(), score, found.quad, _words(found.quad, text, score, columns))


def bounds(quad: Quad) -> Box:
    """Return the box around a quad."""
    x0, y0 = quad.min(axis=0)
    x1, y1 = quad.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def reads_well(lines: list[SpottedLine]) -> float:
    """Return how well lines read, 0 to 1: their scores, long lines counting more."""
    characters = sum(len(line.text) for line in lines)
    return sum(line.score * len(line.text) for line in lines) / characters if characters else 0.0


def _words(quad: Quad, text: str, score: float, columns: Columns) -> list[SpottedWord]:
    middles = columns.middles
    inked = [i for i, character in enumerate(text) if not character.isspace()]
    if len(middles) != len(inked) or len(columns.scores) < len(text):
        return [SpottedWord(text.strip(), score, bounds(quad))]
    words, position = [], 0
    step = (middles[-1] - middles[0]) / max(len(text.strip()) - 1, 1) or 1.0
    for word in text.split():
        first, last = position, position + len(word) - 1
        # A word ends where its last character does, or half-way to its neighbour.
        start = middles[first] - min(step, middles[first] - middles[first - 1] if first else step) / 2
        end = middles[last] + min(step, middles[last + 1] - middles[last] if last + 1 < len(middles) else step) / 2
        scores = [columns.scores[i] for i in inked[first : last + 1]]
        words.append(SpottedWord(word, float(np.mean(scores)), bounds(_part(quad, start, end))))
        position = last + 1
    return words


def _part(quad: Quad, start: float, end: float) -> Quad:
    """Return the stretch of a line between two shares of its length."""
    start, end = max(0.0, min(start, 1.0)), max(0.0, min(end, 1.0))
    top, bottom = quad[1] - quad[0], quad[2] - quad[3]
    p0, p3 = quad[0], quad[3]
    return np.array([p0 + top * start, p0 + top * end, p3 + bottom * end, p3 + bottom * start])
