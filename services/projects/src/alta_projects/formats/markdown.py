"""CommonMark: paragraphs as they stand on the page, headings where there is no doubt, everything else escaped."""

import re
from statistics import median

from alta_common.contracts.results import OcrResult, Page
from alta_projects.formats.layout import Block, blocks_of, height_of
from alta_projects.formats.strings import one_line

# What means something anywhere in a line, GitHub's strikethrough, tables and formulas included.
_INLINE = re.compile(r"([\\`*_\[\]<>&~|$])")
# What means something at the start of a line: headings, lists, rules, underlines of headings.
_START = re.compile(r"^([-+=#])")
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
    pages = ["\n\n".join([*_divider(page, number), *_paragraphs(page)]) for number, page in enumerate(result.pages)]
    return "\n\n".join(page for page in pages if page) + "\n"


def _divider(page: Page, number: int) -> list[str]:
    return ["---", f"<!-- page {page.number} -->"] if number else []


def _paragraphs(page: Page) -> list[str]:
    blocks = blocks_of(page)
    heights = [height_of(line) for block in blocks for line in block.lines]
    usual = median(heights) if heights else 0.0
    is_known = sum(height < _HEADING * usual for height in heights) >= _FEWEST_USUAL_LINES
    return [_paragraph(page, block, usual if is_known else None) for block in blocks]


def _paragraph(page: Page, block: Block, usual: float | None) -> str:
    level = _heading_level(page, block, usual) if usual else 0
    texts = [one_line(line.text) for line in block.lines]
    if level:
        # A run of # at the end would be taken for the heading's own.
        return f"{'#' * level} {_escaped(' '.join(texts)).replace('#', chr(92) + '#')}"
    return "\n".join(_escaped_line(text) for text in texts)


def _heading_level(page: Page, block: Block, usual: float) -> int:
    """Return 1 or 2 for a heading, 0 for what may be none: too long, ending as sentences do, or on its side."""
    text = " ".join(one_line(line.text) for line in block.lines)
    size = min(height_of(line) for line in block.lines) / usual
    x0, y0, x1, y1 = block.box
    is_flat = abs(x1 - x0) * page.width > abs(y1 - y0) * page.height
    is_short = len(block.lines) <= _MOST_HEADING_LINES and len(text) <= _LONGEST_HEADING
    has_words = sum(character.isalpha() for character in text) * 2 > len(text)
    if size < _HEADING or not (is_flat and is_short and has_words) or text.endswith(_RUNS_ON):
        return 0
    return 1 if size >= _TITLE else 2


def _escaped_line(text: str) -> str:
    return _NUMBERED.sub(r"\1\\\2", _START.sub(r"\\\1", _escaped(text)))


def _escaped(text: str) -> str:
    return _INLINE.sub(r"\\\1", text)
