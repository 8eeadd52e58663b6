"""What a page of a PDF says about itself: its words with their places, in the order of the file.

pypdfium2's raw functions are used where its helpers would cost a call for every character.
"""

import ctypes
import functools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

SOFT_HYPHEN = "\ufffe"
"""pdfium's sign for a hyphen at the end of a line, which swallows the line's end."""

_WORD_OR_BREAK = re.compile(rf"(?P<word>[^\s{SOFT_HYPHEN}]*{SOFT_HYPHEN}|[^\s{SOFT_HYPHEN}]+)|(?P<end>[\r\n])")
_GRID = 1_000_000
_SAMPLED_WORDS = 24
_SHORTEST_TELLING_WORD = 3
_MOST_OBJECTS = 20_000
_DEEPEST_FORM = 4
_CELLS = 50
"""In each direction, of the grid in which images cover a page."""

_UNSEEN_MODES = {pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP}

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class PdfWord:
    """A word as the file has it. `box` is x0, y0, x1, y1 in shares of the page as it is shown, origin top left."""

    text: str
    box: Box
    start: int


@dataclass(frozen=True)
class PageObjects:
    """What a page is made of, as far as it tells whether its text layer can be trusted."""

    texts: int
    invisible_texts: int
    under_images: float
    """Share of the page that images cover, roughly."""
    pixels_per_point: float
    """How finely the largest image was scanned; 0 where there is none."""


class PdfText:
    """The text layer of one page (pypdfium2's `PdfPage`). Close it before the page."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._text_page = page.get_textpage()
        self._to_display = _display_matrix(page)
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
        """Say whether a word is drawn so that it can be seen."""
        item = pdfium.FPDFText_GetTextObject(self._text_page, word.start)
        return not item or not _is_invisible(item)

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


def objects_of(page: Any) -> PageObjects:
    """Return what a page is made of. Looks at its first 20,000 objects."""
    texts = invisible = 0
    largest = pixels_per_point = 0.0
    images: list[NDArray[np.float64]] = []
    for item, matrix in _objects(page):
        kind = pdfium.FPDFPageObj_GetType(item)
        if kind == pdfium.FPDF_PAGEOBJ_TEXT:
            texts += 1
            invisible += _is_invisible(item)
        elif kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            images.append(_corners(item, matrix))
            area = _area(images[-1])
            if area > largest:
                largest, pixels_per_point = area, (_pixels(item) / area) ** 0.5
    return PageObjects(texts, invisible, _under(images, page), pixels_per_point)


def _is_invisible(text: Any) -> bool:
    """Say whether a text object leaves no ink: it is drawn as nothing, or so that all shines through."""
    if pdfium.FPDFTextObj_GetTextRenderMode(text) in _UNSEEN_MODES:
        return True
    if not pdfium.FPDFPageObj_HasTransparency(text):
        return False
    red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
    return bool(pdfium.FPDFPageObj_GetFillColor(text, red, green, blue, alpha)) and alpha.value == 0


def _under(images: list[NDArray[np.float64]], page: Any) -> float:
    """Return which share of a page is under images: a scan may be stored in strips."""
    if not images:
        return 0.0
    a, b, c, d, e, f = _display_matrix(page)
    shares = np.stack(images)[:, :, :2] @ np.array([[a, b], [c, d]]) + (e, f)
    edges = np.rint(np.clip([shares.min(axis=1), shares.max(axis=1)], 0, 1) * _CELLS).astype(int)
    grid = np.zeros((_CELLS, _CELLS), dtype=np.bool_)
    for (left, top), (right, bottom) in zip(*edges, strict=True):
        grid[top:bottom, left:right] = True
    return float(grid.mean())


def _objects(page: Any) -> Iterator[tuple[Any, NDArray[np.float64]]]:
    left = _MOST_OBJECTS
    containers: list[tuple[Any, NDArray[np.float64], int]] = [(None, np.eye(3), 0)]
    while containers and left > 0:
        form, matrix, depth = containers.pop()
        count = pdfium.FPDFPage_CountObjects(page) if form is None else pdfium.FPDFFormObj_CountObjects(form)
        for i in range(min(count, left)):
            item = pdfium.FPDFPage_GetObject(page, i) if form is None else pdfium.FPDFFormObj_GetObject(form, i)
            left -= 1
            if pdfium.FPDFPageObj_GetType(item) == pdfium.FPDF_PAGEOBJ_FORM and depth < _DEEPEST_FORM:
                containers.append((item, _matrix_of(item) @ matrix, depth + 1))
            yield item, matrix


def _matrix_of(item: Any) -> NDArray[np.float64]:
    m = pdfium.FS_MATRIX()
    pdfium.FPDFPageObj_GetMatrix(item, m)
    return np.array([[m.a, m.b, 0], [m.c, m.d, 0], [m.e, m.f, 1]], dtype=np.float64)


def _corners(item: Any, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return two opposite corners of an object on its page; one and the same where it has no extent."""
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    pdfium.FPDFPageObj_GetBounds(item, left, bottom, right, top)
    return np.array([[left.value, bottom.value, 1], [right.value, top.value, 1]]) @ matrix


def _area(corners: NDArray[np.float64]) -> float:
    across, up = np.abs(corners[1] - corners[0])[:2]
    return float(across * up)


def _pixels(image: Any) -> int:
    across, down = ctypes.c_uint(), ctypes.c_uint()
    pdfium.FPDFImageObj_GetImagePixelSize(image, across, down)
    return across.value * down.value


def _display_matrix(page: Any) -> tuple[float, float, float, float, float, float]:
    """Return the affine map from the page's own coordinates to shares of the page as shown (crop box, /Rotate)."""

    def shown(x: float, y: float) -> tuple[float, float]:
        across, down = ctypes.c_int(), ctypes.c_int()
        pdfium.FPDF_PageToDevice(page, 0, 0, _GRID, _GRID, 0, x, y, across, down)
        return across.value / _GRID, down.value / _GRID

    reach = 1000.0
    (e, f), (ax, ay), (cx, cy) = shown(0, 0), shown(reach, 0), shown(0, reach)
    return (ax - e) / reach, (ay - f) / reach, (cx - e) / reach, (cy - f) / reach, e, f


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
