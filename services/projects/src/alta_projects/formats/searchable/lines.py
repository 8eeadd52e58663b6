"""How a line lies on its page: which way it runs, how large and how steep it is, what stands where along it."""

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from alta_common.contracts.results import Box
from alta_projects.formats.layout import PlacedWord, surrounding
from alta_projects.formats.searchable.placement import PageSpace, Point

# A line is written up or down the side when it is this many times as high as wide, with enough letters to tell.
_SIDEWAYS = 1.5
_TELLING_LETTERS = 3
# A slope is one when it moves the line by this share of its height, from a line this many times as long as high.
_STEEP = 0.5
_TELLING_LENGTH = 3.0
# No scan lies so askew: these are the words of several lines.
_STEEPEST = 0.5
# However steep: no smaller than this share of the boxes' height.
_SMALLEST = 0.3
# A word that stands further off the line than this share of its height has a baseline of its own: an exponent.
_OFF_THE_LINE = 0.5
# Readers take a narrower space for none (in letters of the word before it); a word gives way as far as this share.
_NARROWEST_SPACE = 0.3
_LEAST_LEFT = 0.6
_RIGHT_TO_LEFT = ("R", "AL")

# Quarters of a turn.
_DOWNWARDS, _UPWARDS = 1, 3


@dataclass(frozen=True, slots=True)
class Frame:
    """Lengths along a line and down from it, in the page's units, for a line turned clockwise by `quarters` of 90."""

    space: PageSpace
    quarters: int

    def box(self, box: Box) -> Box:
        """Return start, top, end, bottom of a box that is given in shares of the upright page."""
        width, height = self.space.width, self.space.height
        x0, x1 = (share * width for share in sorted((box[0], box[2])))
        y0, y1 = (share * height for share in sorted((box[1], box[3])))
        if self.quarters == _DOWNWARDS:
            return (y0, width - x1, y1, width - x0)
        if self.quarters == _UPWARDS:
            return (height - y1, x0, height - y0, x1)
        return (x0, y0, x1, y1)

    def on_page(self, along: float, down: float) -> Point:
        """Return the place on the PDF page."""
        width, height = self.space.width, self.space.height
        if self.quarters == _DOWNWARDS:
            along, down = width - down, along
        elif self.quarters == _UPWARDS:
            along, down = down, height - along
        return self.space.place(along / width, down / height)

    @property
    def angle(self) -> float:
        """Return the line's direction on the PDF page, counterclockwise from rightwards."""
        return math.radians(self.space.turned - 90 * self.quarters)


@dataclass(frozen=True, slots=True)
class PlacedRun:
    """A word, or the space between two: from where to where along the line, and how far down its middle is."""

    text: str
    start: float
    end: float
    middle: float
    is_leftward: bool = False


@dataclass(frozen=True, slots=True)
class Baseline:
    """The straight line through the middles of a line's words; `slope` is how much it falls for each unit along."""

    size: float
    slope: float
    start: float

    def middle(self, run: PlacedRun) -> float:
        """Return where the middle of a word is, on the line when it is near enough."""
        middle = self.start + self.slope * (run.start + run.end) / 2
        return middle if abs(run.middle - middle) <= _OFF_THE_LINE * self.size else run.middle


def frame_of(words: Sequence[PlacedWord], space: PageSpace) -> Frame:
    """Return how a line is turned: its words tell, or the kind of its letters when there is only one word."""
    x0, y0, x1, y1 = surrounding(word.box for word in words)
    width, height = abs(x1 - x0) * space.width, abs(y1 - y0) * space.height
    letters = "".join(word.text for word in words)
    if len(letters) < _TELLING_LETTERS or height <= _SIDEWAYS * width:
        return Frame(space, 0)
    first, last = words[0].box, words[-1].box
    if len(words) > 1:
        return Frame(space, _DOWNWARDS if first[1] + first[3] < last[1] + last[3] else _UPWARDS)
    # Chinese and Japanese columns run downwards; what is stamped into a margin runs upwards mostly.
    is_column = unicodedata.east_asian_width(letters[0]) in "WF"
    return Frame(space, _DOWNWARDS if is_column else _UPWARDS)


def baseline_of(words: Sequence[PlacedWord], frame: Frame) -> Baseline:
    """Return the baseline of a line's words (at least one)."""
    boxes = [frame.box(word.box) for word in words]
    heights = [bottom - top for _, top, _, bottom in boxes]
    centres = [((start + end) / 2, (top + bottom) / 2) for start, top, end, bottom in boxes]
    slope = _slope(centres, median(heights))
    # A box around a word that climbs is higher than the word.
    sizes = [height - abs(slope) * (end - start) for height, (start, _, end, _) in zip(heights, boxes, strict=True)]
    size = max(median(sizes), _SMALLEST * median(heights))
    return Baseline(size, slope, median(down - slope * along for along, down in centres))


def runs_of(words: Sequence[PlacedWord], frame: Frame) -> list[PlacedRun]:
    """Return words and the spaces between them in the order in which they are written.

    A line that is read from right to left is written as it is seen, as PDFs have it: readers turn it round.
    """
    runs = [_run(word, frame) for word in words]
    # One after the last word too, or some readers join it with the next line's first.
    has_space_after = [*(word.is_apart for word in words[1:]), True]
    if 2 * sum(len(run.text) for run in runs if run.is_leftward) > sum(len(run.text) for run in runs):
        order = sorted(range(len(runs)), key=lambda i: runs[i].start)
        # On the right of a word stands what is read before it.
        has_space_after = [words[i].is_apart for i in order]
        runs = [runs[i] for i in order]
    return list(_with_spaces(runs, has_space_after))


def _with_spaces(runs: Sequence[PlacedRun], has_space_after: Sequence[bool]) -> Iterator[PlacedRun]:
    for run, following, has_space in zip(runs, [*runs[1:], None], has_space_after, strict=True):
        narrowest = _NARROWEST_SPACE * (run.end - run.start) / max(len(run.text), 1)
        start = run.end
        if has_space and following is not None and following.start > run.start:
            # Boxes that touch leave no room for a space, and readers drop one over a word: the word gives way.
            start = min(start, max(following.start - narrowest, run.start + _LEAST_LEFT * (run.end - run.start)))
        yield replace(run, end=start)
        if has_space:
            end = start + narrowest if following is None else max(following.start, start + narrowest)
            yield PlacedRun(" ", start, end, run.middle)


def _run(word: PlacedWord, frame: Frame) -> PlacedRun:
    start, top, end, bottom = frame.box(word.box)
    return PlacedRun(word.text, start, end, (top + bottom) / 2, _is_leftward(word.text))


def _slope(centres: Sequence[Point], height: float) -> float:
    """Return the slope of the line through most of the words, or 0 where it is too short or too flat to matter."""
    first, last = min(centres), max(centres)
    length = last[0] - first[0]
    if length < _TELLING_LENGTH * height:
        return 0.0
    mean_along = sum(along for along, _ in centres) / len(centres)
    mean_down = sum(down for _, down in centres) / len(centres)
    spread = sum((along - mean_along) ** 2 for along, _ in centres)
    slope = sum((along - mean_along) * (down - mean_down) for along, down in centres) / spread
    return slope if abs(slope) * length > _STEEP * height and abs(slope) < _STEEPEST else 0.0


def _is_leftward(text: str) -> bool:
    kinds = [unicodedata.bidirectional(character) for character in text]
    return any(kind in _RIGHT_TO_LEFT for kind in kinds) and "L" not in kinds
