"""What a page of the original says itself, as pdfium reads it: text that can be seen, and text that cannot."""

import ctypes
import sys
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pypdfium2.raw as pdfium

from alta_common.contracts.results import Box
from alta_projects.formats.searchable.placement import PageSpace

# The reader of the page may have misread a letter or two of what stands there.
_SAME = 0.6
_FIRST_HALVES, _SECOND_HALVES = range(0xD800, 0xDC00), range(0xDC00, 0xE000)


@dataclass(frozen=True, slots=True)
class OwnText:
    """The characters that a page shows: how far down and across the upright page they are, topmost first."""

    visible: Sequence[tuple[float, float, str]]
    has_invisible: bool

    def says(self, text: str, box: Box) -> bool:
        """Say whether nearly `text` can be read in `box` without us."""
        x0, x1 = sorted((box[0], box[2]))
        y0, y1 = sorted((box[1], box[3]))
        row = self.visible[bisect_left(self.visible, (y0,)) : bisect_right(self.visible, (y1, 2.0))]
        there = _letters("".join(character for _, across, character in row if x0 <= across <= x1))
        wanted = _letters(text)
        return (there & wanted).total() > _SAME * max(there.total(), wanted.total())


def own_text(page: Any, space: PageSpace) -> OwnText:
    """Return the text of a page (pypdfium2's `PdfPage`) whose upright form is `space`."""
    text_page = page.get_textpage()
    try:
        visible = []
        has_invisible = False
        for i in range(pdfium.FPDFText_CountChars(text_page)):
            code = _character(text_page, i)
            item = pdfium.FPDFText_GetTextObject(text_page, i)
            if not item:  # a space or a line's end that pdfium has added
                continue
            if pdfium.FPDFTextObj_GetTextRenderMode(item) == pdfium.FPDF_TEXTRENDERMODE_INVISIBLE:
                has_invisible = True
            elif ord(" ") < code <= sys.maxunicode:
                across, down = space.share(*_middle(text_page, i))
                visible.append((down, across, chr(code)))
    finally:
        text_page.close()
    return OwnText(sorted(visible), has_invisible)


def _character(text_page: Any, index: int) -> int:
    """Return the code point at a position of pdfium's, which counts in UTF-16; 0 for the second half of one."""
    code = int(pdfium.FPDFText_GetUnicode(text_page, index))
    if code in _FIRST_HALVES:
        second = int(pdfium.FPDFText_GetUnicode(text_page, index + 1))
        return 0x10000 + ((code - _FIRST_HALVES.start) << 10) + (second - _SECOND_HALVES.start)
    return 0 if code in _SECOND_HALVES else code


def _middle(text_page: Any, index: int) -> tuple[float, float]:
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    pdfium.FPDFText_GetCharBox(text_page, index, left, right, bottom, top)
    return (left.value + right.value) / 2, (bottom.value + top.value) / 2


def _letters(text: str) -> Counter[str]:
    """Return the letters and digits of a text, or all of it where it has none."""
    return Counter(one for one in text.casefold() if one.isalnum()) or Counter(text)
