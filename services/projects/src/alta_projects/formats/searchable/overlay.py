"""Putting the text under the pages of a PDF, which stay as they are."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pypdfium2
from pikepdf import Dictionary, Name, Page, Pdf, StreamDecodeLevel

from alta_common.contracts.results import Line, Word
from alta_common.contracts.results import Page as ReadPage
from alta_projects.formats.searchable.glyphless import GlyphlessFont
from alta_projects.formats.searchable.layer import text_layer
from alta_projects.formats.searchable.old_layers import remove_invisible_text
from alta_projects.formats.searchable.own_text import OwnText, own_text
from alta_projects.formats.searchable.placement import PageSpace, own_resources
from alta_projects.formats.searchable.signatures import remove_signatures

_EMBEDDED = "embedded"
_FONT = "AltaGlyphless"


def overlay(
    source: Path, pages: Iterator[ReadPage], target: Path, on_page: Callable[[int], None], *, turn: bool
) -> bool:
    """Write `source` with the text of `pages` under its pages to `target`; return False when none of them needs any.

    A page whose own text was read (`embedded`) has it already. Others get all that was read on them, save what they
    show as text themselves; an older invisible layer of theirs is taken out. With `turn` pages are turned upright, as
    images are; those of a PDF stay as their author turned them. `on_page` hears the number of each page that is done.
    """
    with Pdf.open(source) as pdf, closing(pypdfium2.PdfDocument(source)) as shown:
        overlaid = _Overlaid(pdf, shown)
        for page in pages:
            if page.number > len(pdf.pages):
                break
            if page.source != _EMBEDDED:
                overlaid.add(page)
            if turn:
                pdf.pages[page.number - 1].obj.Rotate = page.rotation % 360
            on_page(page.number)
        if overlaid.is_changed or turn:
            overlaid.save(target)
        return overlaid.is_changed or turn


class _Overlaid:
    """A PDF while its pages get their text. `shown` is the same file in pdfium, which knows what it says."""

    def __init__(self, pdf: Pdf, shown: pypdfium2.PdfDocument) -> None:
        self._pdf = pdf
        self._shown = shown
        self._font = GlyphlessFont()
        self._font_object = pdf.make_indirect(Dictionary())
        self.is_changed = False

    def add(self, read: ReadPage) -> None:
        page = self._pdf.pages[read.number - 1]
        space = PageSpace.of(page, read.rotation)
        lines = self._lines(page, read, space)
        if lines:
            resources = own_resources(page)
            name = _free_name(resources)
            resources.Font[name] = self._font_object
            # Before the page's own content, whose state it need not mind, and which may draw over it: nobody sees it.
            page.contents_add(text_layer(lines, space, self._font, str(name)), prepend=True)
            self.is_changed = True

    def save(self, target: Path) -> None:
        self._font.fill(self._pdf, self._font_object)
        remove_signatures(self._pdf)
        if self._pdf.is_encrypted:
            # Anyone can open it, but what its owner allows stays as it was.
            self._pdf.save(target, encryption=True)
        else:
            # Streams are copied as they are, not compressed anew.
            kept = StreamDecodeLevel.none
            self._pdf.save(target, linearize=self._pdf.is_linearized, stream_decode_level=kept, deterministic_id=True)

    def _lines(self, page: Page, read: ReadPage, space: PageSpace) -> list[Line]:
        """Return the lines of a page, without the words that it says itself; an older layer is taken out."""
        with closing(self._shown[read.number - 1]) as shown:
            own = own_text(shown, space)
        if own.has_invisible:
            remove_invisible_text(self._pdf, page)
            self.is_changed = True
        return [left for line in read.lines if (left := _unsaid(line, own)) is not None]


def _unsaid(line: Line, own: OwnText) -> Line | None:
    if not own.visible:
        return line
    words = line.words or [Word(text=line.text, confidence=None, box=line.box)]
    left = [word for word in words if not own.says(word.text, word.box)]
    return line.model_copy(update={"words": left}) if left else None


def _free_name(resources: Dictionary) -> Name:
    """Return a name for the font that no other font of the page has."""
    number = 0
    while f"/{_FONT}{number}" in resources.Font:
        number += 1
    return Name(f"/{_FONT}{number}")
