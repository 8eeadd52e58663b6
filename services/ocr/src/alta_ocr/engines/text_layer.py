"""The text that a born-digital PDF already has: whether it can be trusted, and its lines in reading order."""

import functools
import importlib.metadata
import itertools
import math
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from alta_common.contracts.results import EngineInfo, Line, Page, Word
from alta_ocr.engines.engine import config_hash
from alta_ocr.engines.pdf_objects import LARGE_IMAGE, Box, objects_of
from alta_ocr.engines.pdf_text import SOFT_HYPHEN, PdfText, PdfWord
from alta_ocr.engines.reading_order import Boxes, ReadingOrder, authored_order, reading_order

NAME = "pdf-text"

_FEWEST_CHARACTERS = 25
_MOST_BROKEN = 0.02
_MOST_INVISIBLE = 0.5
_ENOUGH_BESIDE_AN_IMAGE = 200
_MOST_SWAPPED = 0.2
_BETWEEN_COLUMNS = 2.0
_WITHIN_A_LINE = 1.0
_OVERLAPPING = 0.5
_WITHIN_A_WORD = 0.15
"""Gaps between words, in heights of the line."""

_SAME_ROW = 0.4
_SAME_LINE = 0.2
"""Share of the lower one's height that two pieces of a row have in common, and two words that pdfium has in a line."""

_TURNED: dict[int, Callable[[float, float, float, float], Box]] = {
    # Where a box (shares of the page) comes to stand when its page is turned clockwise.
    0: lambda x0, y0, x1, y1: (x0, y0, x1, y1),
    90: lambda x0, y0, x1, y1: (1 - y1, x0, 1 - y0, x1),
    180: lambda x0, y0, x1, y1: (1 - x1, 1 - y1, 1 - x0, 1 - y0),
    270: lambda x0, y0, x1, y1: (y0, 1 - x1, y1, 1 - x0),
}


@dataclass(frozen=True)
class _Piece:
    """Words that stand side by side; boxes in points of the upright page."""

    words: list[PdfWord]

    @functools.cached_property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @functools.cached_property
    def box(self) -> Box:
        return _union([word.box for word in self.words])


def info() -> EngineInfo:
    """Return who reads text layers, in which version."""
    rules = {
        "fewest_characters": _FEWEST_CHARACTERS,
        "most_broken": _MOST_BROKEN,
        "most_invisible": _MOST_INVISIBLE,
        "most_under_images": LARGE_IMAGE,
        "enough_beside_an_image": _ENOUGH_BESIDE_AN_IMAGE,
        "most_swapped": _MOST_SWAPPED,
        "same_line": _SAME_LINE,
    }
    version = importlib.metadata.version("pypdfium2")
    return EngineInfo(name=NAME, version=version, config_hash=config_hash(rules))


def read_text_layer(page: Any, number: int) -> Page | None:
    """Return page `number` (pypdfium2's `PdfPage`) as its text layer has it, or None when it must be looked at.

    Confidences are None: the file says what stands there.
    """
    text = PdfText(page)
    try:
        if not _has_trusted_text(text, page):
            return None
        rotation = _rotation_of(text)
        width, height = page.get_size()
        if rotation in (90, 270):
            width, height = height, width
        lines_of_words = ([_upright(word, rotation, width, height) for word in line] for line in text.lines)
        pieces = [piece for words in lines_of_words for piece in _rows_in(words)]
    finally:
        text.close()
    lines = [_line(piece, width, height) for piece in _in_reading_order(pieces)]
    return Page(
        number=number,
        width=width,
        height=height,
        unit="pt",
        rotation=rotation,
        source="embedded",
        confidence=None,
        lines=lines,
    )


def is_plausible(text: str) -> bool:
    """Say whether `text` can have been written by a person: few broken characters, and no swapped bytes."""
    # A page has few different characters: each is looked at once.
    counts = [(character, count) for character, count in Counter(text).items() if not _is_layout(character)]
    visible = sum(count for _, count in counts)
    broken = sum(count for character, count in counts if _is_broken(character))
    letters = sum(count for character, count in counts if character.isalpha())
    swapped = sum(count for character, count in counts if character.isalpha() and _is_swapped(character))
    return broken < _MOST_BROKEN * max(visible, 1) and swapped <= _MOST_SWAPPED * letters


def _is_layout(character: str) -> bool:
    return character.isspace() or character == SOFT_HYPHEN


def _is_broken(character: str) -> bool:
    return character == "\ufffd" or unicodedata.category(character) in {"Cc", "Cn", "Co", "Cs"}


def _is_swapped(letter: str) -> bool:
    # A font whose map has its bytes swapped turns U+0041, an A, into U+4100, a rare Chinese character.
    return not letter.isascii() and ord(letter) % 0x100 == 0


def _has_trusted_text(text: PdfText, page: Any) -> bool:
    if _letters_in(text.text) < _FEWEST_CHARACTERS or not is_plausible(text.text):
        return False
    objects = objects_of(page)
    if objects.texts and objects.invisible_texts >= _MOST_INVISIBLE * objects.texts:
        # Somebody else's OCR under a scan: ours is better, or at least known.
        return False
    # From here on only what stands on the page counts, which is not all that the file says.
    words = [word for line in text.lines for word in line]
    if objects.under_images > LARGE_IMAGE:
        return sum(_letters_in(word.text) for word in words if text.shows(word)) >= _ENOUGH_BESIDE_AN_IMAGE
    return sum(_letters_in(word.text) for word in words) >= _FEWEST_CHARACTERS


def _letters_in(text: str) -> int:
    return sum(map(str.isalnum, text))


def _rotation_of(text: PdfText) -> int:
    """Return by how many degrees clockwise a page is to be turned for its text to stand upright."""
    direction = text.direction()
    if not _runs_leftwards(text.text):
        return -direction % 360
    # Where it runs across the page it is not known which way it was written; nobody sets it upside down.
    return (180 - direction) % 360 if direction in {90, 270} else 0


def _runs_leftwards(text: str) -> bool:
    letters = [(character, count) for character, count in Counter(text).items() if character.isalpha()]
    leftwards = sum(count for character, count in letters if unicodedata.bidirectional(character) in {"R", "AL"})
    return leftwards * 2 > sum(count for _, count in letters)


def _upright(word: PdfWord, rotation: int, width: float, height: float) -> PdfWord:
    x0, y0, x1, y1 = _TURNED[rotation](*word.box)
    return PdfWord(word.text, (x0 * width, y0 * height, x1 * width, y1 * height), word.start)


def _rows_in(words: list[PdfWord]) -> list[_Piece]:
    """Part what pdfium takes for one line where columns stand side by side half a line apart, written row by row.

    A word far off on either side starts another row where it shares next to none of the row's height. What is near
    stays, whatever its height: raised marks, words from right to left, text up the page's side.
    """
    rows = [words[:1]]
    for before, word in itertools.pairwise(words):
        if _is_far(before, word) and not _is_beside(rows[-1], word):
            rows.append([])
        rows[-1].append(word)
    return [_Piece(row) for row in rows]


def _is_far(before: PdfWord, word: PdfWord) -> bool:
    gap = max(word.box[0] - before.box[2], before.box[0] - word.box[2])
    return gap > _WITHIN_A_LINE * max(before.box[3] - before.box[1], word.box[3] - word.box[1])


def _is_beside(row: list[PdfWord], word: PdfWord) -> bool:
    # Dots and dashes say little about where a row runs.
    last = next((one for one in reversed(row) if _has_letters(one)), row[0])
    return not _has_letters(word) or _are_in_a_row(last.box, word.box, _SAME_LINE)


def _has_letters(word: PdfWord) -> bool:
    return any(map(str.isalnum, word.text))


def _rejoined(pieces: list[_Piece], widest_gap: float) -> list[_Piece]:
    """Join pieces that follow each other in a row, at most `widest_gap` times their height apart."""
    joined: list[_Piece] = []
    for piece in pieces:
        if joined and _continues(joined[-1].box, piece.box, widest_gap):
            joined[-1] = _Piece(_glued(joined[-1].words, piece.words))
        else:
            joined.append(piece)
    return joined


def _continues(line: Box, piece: Box, widest_gap: float) -> bool:
    height = max(line[3] - line[1], piece[3] - piece[1])
    gap = piece[0] - line[2]
    return _are_in_a_row(line, piece, _SAME_ROW) and -_OVERLAPPING * height < gap < widest_gap * height


def _are_in_a_row(one: Box, other: Box, least: float) -> bool:
    shared = min(one[3], other[3]) - max(one[1], other[1])
    return shared > least * min(one[3] - one[1], other[3] - other[1])


def _glued(words: list[PdfWord], more: list[PdfWord]) -> list[PdfWord]:
    last, first = words[-1], more[0]
    if first.box[0] - last.box[2] > _WITHIN_A_WORD * (last.box[3] - last.box[1]):
        return words + more
    box = _union([last.box, first.box])
    return [*words[:-1], replace(last, text=last.text + first.text, box=box), *more[1:]]


def _union(boxes: list[Box]) -> Box:
    if len(boxes) == 1:
        return boxes[0]
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _in_reading_order(lines: list[_Piece]) -> list[_Piece]:
    """Return what is read as a line each.

    pdfium breaks lines at superscripts and at some wide gaps, not at others: on a page set in columns every wide gap
    parts two lines, on any other (tables, forms) none does.
    """
    lines = _rejoined(lines, _WITHIN_A_LINE)
    pieces = [piece for line in lines for piece in _cut_at_gaps(line)]
    order = _order(pieces)
    if order.columnar:
        return [pieces[i] for i in order.order]
    rows = _rejoined(lines, math.inf)
    return [rows[i] for i in authored_order(_boxes(rows))]


def _order(pieces: list[_Piece]) -> ReadingOrder:
    lengths = np.array([len(piece.text) for piece in pieces], dtype=np.int_)
    return reading_order(_boxes(pieces), lengths, authored=True)


def _boxes(pieces: list[_Piece]) -> Boxes:
    return np.array([piece.box for piece in pieces], dtype=np.float64).reshape(-1, 4)


def _cut_at_gaps(line: _Piece) -> list[_Piece]:
    # Not the line's height: it may be that of two columns a little apart.
    widest = _BETWEEN_COLUMNS * max(word.box[3] - word.box[1] for word in line.words)
    parts: list[list[PdfWord]] = [[line.words[0]]]
    for before, word in itertools.pairwise(line.words):
        if word.box[0] - before.box[2] > widest or word.box[2] < before.box[0]:
            parts.append([])
        parts[-1].append(word)
    return [_Piece(part) for part in parts]


def _line(piece: _Piece, width: float, height: float) -> Line:
    # Our own values need no validation, which takes a tenth of the time that a page has.
    words = [
        Word.model_construct(text=word.text, confidence=None, box=_share(word.box, width, height))
        for word in piece.words
    ]
    return Line(text=piece.text, confidence=None, box=_share(piece.box, width, height), words=words)


def _share(box: Box, width: float, height: float) -> Box:
    x0, y0, x1, y1 = box
    return round(x0 / width, 5), round(y0 / height, 5), round(x1 / width, 5), round(y1 / height, 5)
