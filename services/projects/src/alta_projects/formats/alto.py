"""ALTO 4.4 (www.loc.gov/standards/alto): Page, PrintSpace, TextBlock, TextLine, String, SP."""

import re
from collections.abc import Callable, Iterator
from xml.sax.saxutils import escape, quoteattr

from alta_common.contracts.results import Box, Line, OcrResult, Page
from alta_projects.formats.layout import (
    POINTS_PER_INCH,
    Block,
    PlacedWord,
    blocks_of,
    pixels_per_unit,
    placed,
    words_of,
)
from alta_projects.formats.strings import one_line

_NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
_ROOT = (
    f'<alto xmlns="{_NAMESPACE}" xmlns:xlink="http://www.w3.org/1999/xlink"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    f' xsi:schemaLocation="{_NAMESPACE} http://www.loc.gov/standards/alto/v4/alto-4-4.xsd" SCHEMAVERSION="4.4">'
)
_TENTHS_OF_A_MILLIMETRE_PER_INCH = 254
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
_PROCESSING = "processing_1"


def alto(result: OcrResult) -> str:
    """Return the result as ALTO.

    Lengths are pixels of the upright page. Where every page is measured in points they are tenths of a millimetre
    (`mm10`), as ALTO has no points; where only some are, those are taken as scanned at 300 pixels to the inch. `WC`
    and `PC` are missing where the engine said nothing.
    """
    return "\n".join(_document(result)) + "\n"


def _document(result: OcrResult) -> Iterator[str]:
    in_points = all(page.unit == "pt" for page in result.pages)
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield _ROOT
    yield from _description(result, "mm10" if in_points else "pixel")
    yield "<Layout>"
    for page in result.pages:
        scale = _TENTHS_OF_A_MILLIMETRE_PER_INCH / POINTS_PER_INCH if in_points else pixels_per_unit(page)
        yield from _Writer(page, scale, result.language).page()
    yield "</Layout>"
    yield "</alto>"


def _description(result: OcrResult, unit: str) -> Iterator[str]:
    engine = result.engine
    yield "<Description>"
    yield f"<MeasurementUnit>{unit}</MeasurementUnit>"
    yield "<sourceImageInformation>"
    yield f"<documentIdentifier>{result.document_id}</documentIdentifier>"
    yield "</sourceImageInformation>"
    yield f'<Processing ID="{_PROCESSING}">'
    yield "<processingCategory>contentGeneration</processingCategory>"
    if engine.config_hash is not None:
        yield f"<processingStepSettings>{_text(engine.config_hash)}</processingStepSettings>"
    yield "<processingSoftware>"
    yield f"<softwareName>{_text(engine.name)}</softwareName>"
    yield f"<softwareVersion>{_text(engine.version)}</softwareVersion>"
    yield "</processingSoftware>"
    yield "</Processing>"
    yield "</Description>"


class _Writer:
    """Writes one page; ids are unique in the document because they have the page's number."""

    def __init__(self, page: Page, scale: float, language: str | None) -> None:
        self._page = page
        self._place: Callable[[Box], Box] = placed(page, scale)
        self._language = language
        self._lines = 0
        self._words = 0

    def page(self) -> Iterator[str]:
        page = self._page
        _, _, width, height = self._place((0.0, 0.0, 1.0, 1.0))
        size = f'WIDTH="{_length(width)}" HEIGHT="{_length(height)}"'
        more = _confidence("PC", page.confidence)
        if self._language and _LANGUAGE.fullmatch(self._language):
            more += f' LANG="{self._language}"'
        name = f"page_{page.number}"
        yield f'<Page ID="{name}" PHYSICAL_IMG_NR="{page.number}" {size} PROCESSINGREFS="{_PROCESSING}"{more}>'
        yield f'<PrintSpace ID="print_space_{page.number}" HPOS="0" VPOS="0" {size}>'
        for number, block in enumerate(blocks_of(page), 1):
            yield from self._block(number, block)
        yield "</PrintSpace>"
        yield "</Page>"

    def _block(self, number: int, block: Block) -> Iterator[str]:
        yield f'<TextBlock ID="block_{self._page.number}_{number}" {self._geometry(block.box)}>'
        for line in block.lines:
            yield from self._line(line)
        yield "</TextBlock>"

    def _line(self, line: Line) -> Iterator[str]:
        self._lines += 1
        yield f'<TextLine ID="line_{self._page.number}_{self._lines}" {self._geometry(line.box)}>'
        before: PlacedWord | None = None
        for word in words_of(line):
            if before is not None and word.is_apart:
                yield f"<SP {self._geometry(_between(before.box, word.box))}/>"
            yield self._word(word)
            before = word
        yield "</TextLine>"

    def _word(self, word: PlacedWord) -> str:
        self._words += 1
        name = f"word_{self._page.number}_{self._words}"
        more = _confidence("WC", word.confidence)
        return f'<String ID="{name}" {self._geometry(word.box)} CONTENT={quoteattr(word.text)}{more}/>'

    def _geometry(self, box: Box) -> str:
        x0, y0, x1, y1 = self._place(box)
        width, height = _length(x1 - x0), _length(y1 - y0)
        return f'HPOS="{_length(x0)}" VPOS="{_length(y0)}" WIDTH="{width}" HEIGHT="{height}"'


def _between(one: Box, other: Box) -> Box:
    """Return the gap between two words of a line, whichever way it runs; it has no width when they overlap."""
    left, right = sorted((one, other))
    return (left[2], min(one[1], other[1]), max(left[2], right[0]), max(one[3], other[3]))


def _confidence(name: str, confidence: float | None) -> str:
    return "" if confidence is None else f' {name}="{min(max(confidence, 0.0), 1.0):.4g}"'


def _length(length: float) -> str:
    return f"{length:.2f}".rstrip("0").rstrip(".")


def _text(text: str) -> str:
    return escape(one_line(text))
