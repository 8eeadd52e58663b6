"""hOCR 1.2 (kba.github.io/hocr-spec/1.2), as well-formed XHTML: page, area, paragraph, line, word."""

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from alta_common.contracts.results import Box, Line, OcrResult, Page
from alta_projects.formats.layout import (
    PIXELS_PER_INCH,
    Block,
    PlacedWord,
    blocks_of,
    pixels_per_unit,
    placed,
    words_of,
)
from alta_projects.formats.page_image import ImageKind, WantedImage
from alta_projects.formats.strings import one_line

_DOCTYPE = (
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" '
    '"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">'
)
_NARROWEST, _WIDEST = 16, 4000
"""In pixels, what a page can be seen as."""

_WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
_CAPABILITIES = "ocr_page ocr_carea ocr_par ocr_line ocrx_word"


def hocr(result: OcrResult) -> str:
    """Return the result as hOCR.

    Boxes are whole pixels of the upright page; `image` says where it can be seen at that size. A page that is larger
    than what can be seen says how much smaller that image is (`x_image_scale`). A page that is measured in points is
    taken as scanned at 300 to the inch, and says so (`scan_res`). `x_wconf` is 0-100, and is missing where the engine
    said nothing.
    """
    return "\n".join(_document(result)) + "\n"


def _document(result: OcrResult) -> Iterator[str]:
    language = quoteattr(one_line(result.language or ""))
    system = quoteattr(one_line(f"{result.engine.name} {result.engine.version}"))
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield _DOCTYPE
    yield f'<html xmlns="http://www.w3.org/1999/xhtml" xml:lang={language} lang={language}>'
    yield "<head>"
    yield f"<title>{result.document_id}</title>"
    yield '<meta http-equiv="Content-Type" content="text/html; charset=utf-8" />'
    yield f'<meta name="ocr-system" content={system} />'
    yield f'<meta name="ocr-capabilities" content="{_CAPABILITIES}" />'
    yield f'<meta name="ocr-number-of-pages" content="{len(result.pages)}" />'
    if result.language:
        yield f'<meta name="ocr-langs" content={language} />'
    yield "</head>"
    yield "<body>"
    for page in result.pages:
        yield from _Writer(page, f"/v1/documents/{result.document_id}/pages/{page.number}/image").page()
    yield "</body>"
    yield "</html>"


class _Writer:
    """Writes one page; ids are unique in the document because they have the page's number."""

    def __init__(self, page: Page, image: str) -> None:
        self._page = page
        self._image = image
        self._place = placed(page, pixels_per_unit(page))
        self._lines = 0
        self._words = 0

    def page(self) -> Iterator[str]:
        page = self._page
        wanted, scale = self._seen()
        title = f'image "{self._image}?width={wanted}"; {self._bbox(_WHOLE)}; ppageno {page.number - 1}'
        if scale != 1:
            title += f"; x_image_scale {scale:.5f}"
        if page.unit == "pt":
            title += f"; scan_res {PIXELS_PER_INCH} {PIXELS_PER_INCH}"
        yield f'<div class="ocr_page" id="page_{page.number}" title={quoteattr(title)}>'
        for number, block in enumerate(blocks_of(page), 1):
            yield from self._block(number, block)
        yield "</div>"

    def _block(self, number: int, block: Block) -> Iterator[str]:
        name, bbox = f"{self._page.number}_{number}", self._bbox(block.box)
        yield f'<div class="ocr_carea" id="block_{name}" title="{bbox}">'
        yield f'<p class="ocr_par" id="par_{name}" title="{bbox}">'
        for line in block.lines:
            yield self._line(line)
        yield "</p>"
        yield "</div>"

    def _line(self, line: Line) -> str:
        self._lines += 1
        words = "".join(f"{' ' if word.is_apart else ''}{self._word(word)}" for word in words_of(line))
        name = f"line_{self._page.number}_{self._lines}"
        return f'<span class="ocr_line" id="{name}" title="{self._bbox(line.box)}">{words}</span>'

    def _word(self, word: PlacedWord) -> str:
        self._words += 1
        name, title = f"word_{self._page.number}_{self._words}", self._bbox(word.box)
        if word.confidence is not None:
            title += f"; x_wconf {round(100 * min(max(word.confidence, 0.0), 1.0))}"
        return f'<span class="ocrx_word" id="{name}" title="{title}">{escape(word.text)}</span>'

    def _seen(self) -> tuple[int, float]:
        """Return which width is asked for to see the page, and how large it is seen: 1 where boxes fit as they are."""
        width, height = (max(round(length), 1) for length in self._place(_WHOLE)[2:])
        wanted = WantedImage(self._page.number, min(max(width, _NARROWEST), _WIDEST), 0, ImageKind.JPEG)
        return wanted.width, wanted.size_for(width, height)[0] / width

    def _bbox(self, box: Box) -> str:
        return "bbox " + " ".join(str(round(length)) for length in self._place(box))
