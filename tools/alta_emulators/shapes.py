"""Our canonical pages in Document AI's shape: one text with anchors into it, boxes on the page as it was seen."""

from collections.abc import Iterator, Sequence
from typing import Any

from google.cloud import documentai_v1 as documentai

from alta_common.contracts.results import Box, Line, Page, Word

_ORIENTATIONS = {
    # The side of the page at which its text has its upper side; `rotation` turned that up.
    0: documentai.Document.Page.Layout.Orientation.PAGE_UP,
    90: documentai.Document.Page.Layout.Orientation.PAGE_LEFT,
    180: documentai.Document.Page.Layout.Orientation.PAGE_DOWN,
    270: documentai.Document.Page.Layout.Orientation.PAGE_RIGHT,
}

_SPACE = documentai.Document.Page.Token.DetectedBreak.Type.SPACE


def document_of(pages: Sequence[Page], language: str | None = None) -> documentai.Document:
    """Return a document that says what `pages` say."""
    document = documentai.Document.pb(documentai.Document())
    text = _Text()
    for page in pages:
        _add_page(document.pages.add(), page, text, language)
    document.text = text.written
    whole: documentai.Document = documentai.Document.wrap(document)
    return whole


class _Text:
    """The document's text as it grows."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.length = 0

    @property
    def written(self) -> str:
        return "".join(self._parts)

    def write(self, text: str) -> None:
        self._parts.append(text)
        self.length += len(text)


def _add_page(shape: Any, page: Page, text: _Text, language: str | None) -> None:
    start = text.length
    shape.page_number = page.number
    on_its_side = page.rotation in {90, 270}
    shape.dimension.width = page.height if on_its_side else page.width
    shape.dimension.height = page.width if on_its_side else page.height
    shape.dimension.unit = "pixels" if page.unit == "px" else "points"
    if language:
        shape.detected_languages.add(language_code=language, confidence=1)
    for line in page.lines:
        _add_line(shape, line, text, page.rotation)
    _lay_out(shape.layout, (start, text.length), (0, 0, 1, 1), page.confidence, page.rotation)


def _add_line(shape: Any, line: Line, text: _Text, rotation: int) -> None:
    start = text.length
    for word, after in _spaced(line):
        begin = text.length
        text.write(word.text + after)
        token = shape.tokens.add()
        token.detected_break.type_ = _SPACE
        _lay_out(token.layout, (begin, text.length), word.box, word.confidence, rotation)
    _lay_out(shape.lines.add().layout, (start, text.length), line.box, line.confidence, rotation)


def _spaced(line: Line) -> Iterator[tuple[Word, str]]:
    words = line.words or [Word(text=line.text, confidence=line.confidence, box=line.box)]
    for word in words[:-1]:
        yield word, " "
    yield words[-1], "\n"


def _lay_out(layout: Any, span: tuple[int, int], box: Box, confidence: float | None, rotation: int) -> None:
    layout.text_anchor.text_segments.add(start_index=span[0], end_index=span[1])
    layout.confidence = confidence or 0.0
    layout.orientation = _ORIENTATIONS[rotation]
    for x, y in _corners(_seen(box, rotation)):
        layout.bounding_poly.normalized_vertices.add(x=x, y=y)


def _seen(box: Box, rotation: int) -> Box:
    """Return where a box of the upright page is on the page before it was turned clockwise by `rotation`."""
    x0, y0, x1, y1 = box
    if rotation == 90:
        return y0, 1 - x1, y1, 1 - x0
    if rotation == 180:
        return 1 - x1, 1 - y1, 1 - x0, 1 - y0
    if rotation == 270:
        return 1 - y1, x0, 1 - y0, x1
    return box


def _corners(box: Box) -> tuple[tuple[float, float], ...]:
    x0, y0, x1, y1 = box
    return (x0, y0), (x1, y0), (x1, y1), (x0, y1)
