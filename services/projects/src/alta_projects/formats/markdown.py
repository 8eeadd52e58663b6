"""CommonMark: paragraphs as they stand on the page, headings where there is no doubt, everything else escaped."""

import re
from collections import Counter
from operator import itemgetter

from alta_common.contracts.results import Line, OcrResult, Page
from alta_projects.formats.layout import Block, blocks_of, height_of
from alta_projects.formats.strings import one_line

# What means something anywhere in a line, GitHub's strikethrough, tables and formulas included.
_INLINE = re.compile(r"([\\`*_\[\]<>&~|$])")
# What means something at the start of a line: headings, lists, rules, underlines of headings, GitHub's of tables.
_START = re.compile(r"^([-+=#]|:(?=-))")
_NUMBERED = re.compile(r"^([0-9]{1,9})([.)])")

# A heading is this many times as high as the usual line of its page, of which there must be enough to know.
_HEADING = 1.5
_TITLE = 2.0
_FEWEST_USUAL_LINES = 5
_MOST_HEADING_LINES = 2
_LONGEST_HEADING = 100
_RUNS_ON = tuple(".,;:-")


def markdown(result: OcrResult) -> str:
    """Return the result as Markdown. Lines stay lines; pages are divided by a rule and a comment with their number."""
    blocks = [blocks_of(page) for page in result.pages]
    headings = _Headings(result.pages, blocks)
    parts: list[str] = []
    for page, on_page in zip(result.pages, blocks, strict=True):
        if page is not result.pages[0]:
            parts += ["---", f"<!-- page {page.number} -->"]
        parts += [_paragraph(block, headings.level(page, block)) for block in on_page]
    return "\n\n".join(parts) + "\n"


def _paragraph(block: Block, level: int) -> str:
    if level:
        # A run of # at the end would be taken for the heading's own.
        return f"{'#' * level} {_escaped(_text(block)).replace('#', chr(92) + '#')}"
    return "\n".join(_escaped_line(one_line(line.text)) for line in block.lines)


class _Headings:
    """Knows how high lines usually are, on each page and on all of them, and what stands on more than one page."""

    def __init__(self, pages: list[Page], blocks: list[list[Block]]) -> None:
        lines = [[line for block in on_page for line in block.lines] for on_page in blocks]
        self._usual = _usual_height(
            [(height_of(line) * page.height, line) for page, some in zip(pages, lines, strict=True) for line in some]
        )
        self._usual_on = {
            page.number: _usual_height([(height_of(line) * page.height, line) for line in some])
            for page, some in zip(pages, lines, strict=True)
        }
        places = {(_without_digits(block), i) for i, on_page in enumerate(blocks) for block in on_page}
        self._pages_with = Counter(text for text, _ in places)

    def level(self, page: Page, block: Block) -> int:
        """Return 1 or 2 for a heading; 0 for what may be none: long, repeated, ending as sentences do, or sideways."""
        usual = max(self._usual, self._usual_on[page.number])
        size = min(height_of(line) for line in block.lines) * page.height / usual if self._usual else 0.0
        if size < _HEADING or self._pages_with[_without_digits(block)] > 1 or not _reads_as_heading(page, block):
            return 0
        return 1 if size >= _TITLE else 2


def _usual_height(lines: list[tuple[float, Line]]) -> float:
    """Return how high the line is that a letter usually stands on, or 0 when there are too few to say."""
    letters = sum(len(line.text) for _, line in lines)
    passed, usual = 0, 0.0
    for height, line in sorted(lines, key=itemgetter(0)):
        passed += len(line.text)
        if passed * 2 >= letters:
            usual = height
            break
    return usual if sum(height < _HEADING * usual for height, _ in lines) >= _FEWEST_USUAL_LINES else 0.0


def _reads_as_heading(page: Page, block: Block) -> bool:
    text = _text(block)
    x0, y0, x1, y1 = block.box
    is_flat = abs(x1 - x0) * page.width > abs(y1 - y0) * page.height
    is_short = len(block.lines) <= _MOST_HEADING_LINES and len(text) <= _LONGEST_HEADING
    has_words = sum(character.isalpha() for character in text) * 2 > len(text)
    return is_flat and is_short and has_words and not text.endswith(_RUNS_ON)


def _text(block: Block) -> str:
    return " ".join(one_line(line.text) for line in block.lines)


def _without_digits(block: Block) -> str:
    # Running heads and feet differ by the number of their page.
    return "".join(character for character in _text(block) if not character.isdigit())


def _escaped_line(text: str) -> str:
    return _NUMBERED.sub(r"\1\\\2", _START.sub(r"\\\1", _escaped(text)))


def _escaped(text: str) -> str:
    return _INLINE.sub(r"\\\1", text)
