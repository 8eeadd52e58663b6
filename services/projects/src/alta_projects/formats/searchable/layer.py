"""The words of a page as invisible text, each in its place."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alta_common.contracts.results import Box, Line
from alta_projects.formats.layout import words_of
from alta_projects.formats.searchable.glyphless import ADVANCE, DESCENT, GlyphlessFont, clusters
from alta_projects.formats.searchable.lines import Baseline, Frame, PlacedRun, baseline_of, frame_of, runs_of
from alta_projects.formats.searchable.placement import PageSpace

_ROUNDS_TO_ZERO = 0.000005


def text_layer(lines: Sequence[Line], space: PageSpace, font: GlyphlessFont, name: str) -> bytes:
    """Return the content stream that puts `lines` on a page without a trace, for the beginning of the page's content.

    `name` is the font's in the page's resources (`/F1`). The graphics state is left as it was.
    """
    operators = [b"q BT 3 Tr"]
    for line in lines:
        words = [word for word in words_of(line) if word.text and _has_area(word.box)]
        if words:
            frame = frame_of(words, space)
            operators += _Writer(font, frame, baseline_of(words, frame), name).operators(runs_of(words, frame))
    return b"\n".join([*operators, b"ET Q\n"])


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes one line: one size and one baseline for all of its words, so that readers see that it is one."""

    font: GlyphlessFont
    frame: Frame
    baseline: Baseline
    name: str

    def operators(self, runs: Sequence[PlacedRun]) -> Iterator[bytes]:
        yield b"%s %s Tf" % (self.name.encode(), _number(self.baseline.size))
        for run in runs:
            yield self._shown(run)

    def _shown(self, run: PlacedRun) -> bytes:
        characters = list(clusters(run.text))
        if run.is_leftward:
            # Readers expect what is seen, from left to right, and turn it round themselves.
            characters.reverse()
        size, slope = self.baseline.size, self.baseline.slope
        length = (run.end - run.start) * math.hypot(1, slope)
        scale = 100 * length / (len(characters) * ADVANCE * size)
        middle = self.baseline.middle(run) - slope * (run.end - run.start) / 2
        x, y = self.frame.on_page(run.start, middle + (0.5 - DESCENT) * size)
        angle = self.frame.angle - math.atan(slope)
        matrix = b" ".join(map(_number, (math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle), x, y)))
        return b"%s Tz %s Tm <%s> Tj" % (_number(scale), matrix, self.font.encode(characters).hex().encode())


def _has_area(box: Box) -> bool:
    return box[0] != box[2] and box[1] != box[3]


def _number(value: float) -> bytes:
    return f"{value:.5f}".rstrip("0").rstrip(".").encode() if abs(value) >= _ROUNDS_TO_ZERO else b"0"
