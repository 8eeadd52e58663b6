"""The lines of a page in blocks, and its boxes in the units of a format."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from alta_common.contracts.results import Box, Line, Page, Word
from alta_projects.formats.strings import one_line, spaces_before

POINTS_PER_INCH = 72
# A PDF page has no pixels. Scanners and libraries mostly take 300 to the inch.
PIXELS_PER_INCH = 300

# Heights of a line: how much wider than usual a gap between paragraphs is, and how far down the next line must be.
_PARAGRAPH_GAP = 0.4
_WIDEST_USUAL_GAP = 1.5
_SHORTEST_STEP = 0.5
# Lines whose heights differ by more are not of one paragraph.
_OTHER_SIZE = 1.6


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that follow each other closely: a paragraph, a heading, a cell. There is at least one."""

    lines: list[Line]

    @property
    def box(self) -> Box:
        """Return what the block covers."""
        return surrounding(line.box for line in self.lines)


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """A word of a line that has text; `is_apart` when white space stands before it."""

    text: str
    confidence: float | None
    box: Box
    is_apart: bool


def blocks_of(page: Page) -> list[Block]:
    """Return the lines of a page that say something, in their order, as blocks."""
    lines = [line for line in page.lines if one_line(line.text)]
    gaps = [_gap(above, line) for above, line in pairwise(lines) if _is_below(above, line)]
    usual = median(gaps) if gaps else 0.0
    blocks: list[Block] = []
    for line in lines:
        if blocks and _goes_on(blocks[-1].lines[-1], line, usual):
            blocks[-1].lines.append(line)
        else:
            blocks.append(Block([line]))
    return blocks


def words_of(line: Line) -> list[PlacedWord]:
    """Return the words of a line that has text, in their order; the whole line as one word when it has none."""
    words = [word for word in line.words if one_line(word.text)]
    words = words or [Word(text=line.text, confidence=line.confidence, box=line.box)]
    texts = [one_line(word.text) for word in words]
    apart = spaces_before(one_line(line.text), texts)
    return [
        PlacedWord(text, word.confidence, word.box, is_apart=is_apart and i > 0)
        for i, (text, word, is_apart) in enumerate(zip(texts, words, apart, strict=True))
    ]


def placed(page: Page, scale: float) -> Callable[[Box], Box]:
    """Return what turns shares of a page into lengths, `scale` of them to a unit of the page."""
    width, height = page.width * scale, page.height * scale

    def place(box: Box) -> Box:
        x0, x1 = sorted((box[0], box[2]))
        y0, y1 = sorted((box[1], box[3]))
        return (x0 * width, y0 * height, x1 * width, y1 * height)

    return place


def pixels_per_unit(page: Page) -> float:
    """Return how many pixels a unit of the page is: 1, unless it is measured in points."""
    return PIXELS_PER_INCH / POINTS_PER_INCH if page.unit == "pt" else 1.0


def height_of(line: Line) -> float:
    """Return the height of a line as a share of the page."""
    return abs(line.box[3] - line.box[1])


def surrounding(boxes: Iterable[Box]) -> Box:
    """Return the smallest box around all of `boxes`."""
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return (min(x0), min(y0), max(x1), max(y1))


def _goes_on(above: Line, line: Line, usual_gap: float) -> bool:
    small, large = sorted((height_of(above), height_of(line)))
    if large > _OTHER_SIZE * small or not _is_below(above, line):
        return False
    return _gap(above, line) <= min(usual_gap, _WIDEST_USUAL_GAP * small) + _PARAGRAPH_GAP * small


def _is_below(above: Line, line: Line) -> bool:
    """Say whether `line` stands under `above`, and neither beside it nor in the next column."""
    step = (line.box[1] + line.box[3] - above.box[1] - above.box[3]) / 2
    shared = min(above.box[2], line.box[2]) - max(above.box[0], line.box[0])
    return shared > 0 and step > _SHORTEST_STEP * min(height_of(above), height_of(line))


def _gap(above: Line, line: Line) -> float:
    return line.box[1] - above.box[3]
