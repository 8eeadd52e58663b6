"""What a page of a PDF says about itself: its words with their places, in the order of the file.

pypdfium2's raw functions are used where its helpers would cost a call for every character.
"""

import ctypes
import functools
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pypdfium2.raw as pdfium

from alta_ocr.engines.pdf_objects import Box, Cover, address_of, covers_of, display_matrix, is_invisible

SOFT_HYPHEN = "\ufffe"
"""pdfium's sign for a hyphen at the end of a line, which swallows the line's end."""

_WORD_OR_BREAK = re.compile(rf"(?P<word>[^\s{SOFT_HYPHEN}]*{SOFT_HYPHEN}|[^\s{SOFT_HYPHEN}]+)|(?P<end>[\r\n])")
_SAMPLED_WORDS = 24
_SHORTEST_TELLING_WORD = 3


@dataclass(frozen=True)
class PdfWord:
    """A word as the file has it. `box` is x0, y0, x1, y1 in shares of the page as it is shown, origin top left."""

    text: str
    box: Box
    start: int


class PdfText:
    """The text layer of one page (pypdfium2's `PdfPage`). Close it before the page."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._text_page = page.get_textpage()
        self._to_display = display_matrix(page)
        self._width, self._height = page.get_size()
        # What pdfium writes edges into: made once, not for each word.
        self._edges = tuple(ctypes.c_double() for _ in range(4))
        # As pdfium counts: in UTF-16, where two positions may be one character.
        self._units = self._aligned_units()
        self.text = _combined(self._units)

    def close(self) -> None:
        """Give back what pdfium holds."""
        self._text_page.close()

    @functools.cached_property
    def lines(self) -> list[list[PdfWord]]:
        """The words of each line, as pdfium breaks lines. Words outside of the page are left out."""
        lines: list[list[PdfWord]] = [[]]
        for part in _WORD_OR_BREAK.finditer(self._units):
            if part.lastgroup == "word":
                lines[-1] += self._word(*part.span())
            if lines[-1] and (part.lastgroup == "end" or part.group().endswith(SOFT_HYPHEN)):
                lines.append([])
        return [words for words in lines if words]

    def shows(self, word: PdfWord) -> bool:
        """Say whether a word is drawn so that it can be seen, and no image over it."""
        item = pdfium.FPDFText_GetTextObject(self._text_page, word.start)
        if not item:
            return True
        address = address_of(item)
        return not is_invisible(item) and not any(cover.hides(address, word.box) for cover in self._covers)

    def direction(self) -> int:
        """Return where most words run on the shown page, in degrees clockwise from rightwards: 0, 90, 180 or 270."""
        quarters: Counter[int] = Counter()
        telling = [word for line in self.lines for word in line if len(word.text) >= _SHORTEST_TELLING_WORD]
        for word in telling[:: max(1, len(telling) // _SAMPLED_WORDS)]:
            first, last = self._centre(word.start), self._centre(word.start + len(word.text) - 1)
            across, down = last[0] - first[0], last[1] - first[1]
            quarter = (0 if across > 0 else 180) if abs(across) >= abs(down) else (90 if down > 0 else 270)
            quarters[quarter] += len(word.text)
        return quarters.most_common(1)[0][0] if quarters else 0

    @functools.cached_property
    def _covers(self) -> list[Cover]:
        return covers_of(self._page)

    def _aligned_units(self) -> str:
        count = pdfium.FPDFText_CountChars(self._text_page)
        if count <= 0:
            return ""
        text = str(self._text_page.get_text_range())
        if len(text) == count:
            return text
        # Characters without Unicode are left out of the text, others take two positions: ask for what is at each.
        codes = (pdfium.FPDFText_GetUnicode(self._text_page, i) for i in range(count))
        return "".join(chr(code) if 0 < code < 0x110000 else "\ufffd" for code in codes)  # noqa: PLR2004  # Unicode ends

    def _word(self, start: int, end: int) -> list[PdfWord]:
        text = self._units[start:end]
        if not text.isprintable():
            inked = [i for i, unit in enumerate(text) if _is_ink(unit) or _is_half(unit)]
            text = "".join(filter(_is_ink, _combined("".join(text[i] for i in inked))))
            if not text:
                return []
            start += inked[0]
        box = self._box(start, end - start)
        inside = box is not None and 0 <= (box[0] + box[2]) / 2 <= 1 and 0 <= (box[1] + box[3]) / 2 <= 1
        return [PdfWord(text.replace(SOFT_HYPHEN, "-"), _clipped(box), start)] if box and inside else []

    def _box(self, start: int, length: int) -> Box | None:
        left, top, right, bottom = self._edges
        corners = []
        for i in range(pdfium.FPDFText_CountRects(self._text_page, start, length)):
            pdfium.FPDFText_GetRect(self._text_page, i, left, top, right, bottom)
            corners += [(left.value, top.value), (right.value, bottom.value)]
        return self._shown(corners) if corners else None

    def _centre(self, index: int) -> tuple[float, float]:
        left, right, bottom, top = self._edges
        pdfium.FPDFText_GetCharBox(self._text_page, index, left, right, bottom, top)
        x0, y0, x1, y1 = self._shown([(left.value, top.value), (right.value, bottom.value)])
        return (x0 + x1) / 2 * self._width, (y0 + y1) / 2 * self._height

    def _shown(self, corners: list[tuple[float, float]]) -> Box:
        a, b, c, d, e, f = self._to_display
        xs = [a * x + c * y + e for x, y in corners]
        ys = [b * x + d * y + f for x, y in corners]
        return min(xs), min(ys), max(xs), max(ys)


def _is_ink(character: str) -> bool:
    return (character.isprintable() and not character.isspace()) or character == SOFT_HYPHEN


def _is_half(unit: str) -> bool:
    return "\ud800" <= unit <= "\udfff"


def _combined(units: str) -> str:
    """Return text whose rarer characters are in two halves each, as UTF-16 has them, with whole ones."""
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _clipped(box: Box) -> Box:
    if box[0] >= 0 and box[1] >= 0 and box[2] <= 1 and box[3] <= 1:
        return box
    x0, y0, x1, y1 = (min(max(value, 0.0), 1.0) for value in box)
    return x0, y0, x1, y1
