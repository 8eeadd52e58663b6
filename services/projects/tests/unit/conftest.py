"""Results as engines make them, and scans that they may be of."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from pikepdf import Array, Dictionary, Name, Object, Pdf, Stream
from pikepdf import Page as PdfPage

from alta_common.contracts.results import (
    EngineInfo,
    Line,
    OcrResult,
    Page,
    Segment,
    SpokenWord,
    TranscriptResult,
    Word,
)
from alta_common.ids import new_id
from alta_projects.formats.searchable.job import make_searchable


class Make:
    """Makes results; what doesn't matter is filled in."""

    def line(self, text: str, top: float, *, left: float = 0.1, height: float = 0.02, **more: Any) -> Line:
        """Return a line whose letters are 0.01 wide, word by word."""
        words, x = [], left
        for word in text.split(" "):
            wide = 0.01 * len(word)
            box = (x, top, min(x + wide, 1.0), top + height)
            words.append(Word(text=word, confidence=more.get("confidence", 0.9), box=box))
            x += wide + 0.01
        box = (left, top, words[-1].box[2], top + height)
        return Line(**{"text": text, "confidence": 0.9, "box": box, "words": words, **more})

    def page(self, *lines: Line, number: int = 1, **more: Any) -> Page:
        facts = {"width": 1000, "height": 2000, "confidence": 0.9, **more}
        return Page(number=number, lines=list(lines), **facts)

    def document(self, *pages: Page, **more: Any) -> OcrResult:
        facts = {"language": "en", "engine": EngineInfo(name="rapidocr", version="3.10", config_hash="ab<c"), **more}
        text = "\n".join(line.text for page in pages for line in page.lines)
        return OcrResult(document_id=new_id(), text=text, pages=list(pages), **facts)

    def segment(self, text: str, start_ms: int, *, pace_ms: int = 300, **more: Any) -> Segment:
        """Return a segment that says a word each `pace_ms`."""
        words = [
            SpokenWord(start_ms=start_ms + i * pace_ms, end_ms=start_ms + (i + 1) * pace_ms, text=word, confidence=0.9)
            for i, word in enumerate(text.split())
        ]
        end_ms = start_ms + len(words) * pace_ms
        facts = {"words": words, "end_ms": end_ms, "confidence": 0.9, **more}
        return Segment(start_ms=start_ms, text=text, **facts)

    def transcript(self, *segments: Segment, duration_ms: int | None = None) -> TranscriptResult:
        return TranscriptResult(
            voice_sample_id=new_id(),
            engine=EngineInfo(name="faster-whisper", version="1.2"),
            language="en",
            duration_ms=_last_end(segments) if duration_ms is None else duration_ms,
            text=" ".join(segment.text for segment in segments),
            segments=list(segments),
        )


def _last_end(segments: Sequence[Segment]) -> int:
    return max((segment.end_ms for segment in segments), default=0)


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()


class Scans:
    """PDFs that say nothing themselves, made searchable, and what readers that are not ours find in them."""

    def __init__(self, folder: Path, make: Make) -> None:
        self._folder = folder
        self._make = make

    def original(self, *sheets: dict[str, Any], content: bytes = b"") -> Path:
        """Return a PDF whose pages show a gray picture, then `content`; `sheets` are their further attributes."""
        path = self._folder / "original.pdf"
        with Pdf.new() as pdf:
            font = pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
            for sheet in sheets or ({},):
                pdf.pages.append(PdfPage(pdf.make_indirect(_sheet(pdf, font, sheet, content))))
            pdf.save(path)
        return path

    def searchable(self, original: Path, *pages: Page) -> Path:
        """Return the searchable PDF of an original in which these pages were read."""
        result, target = self._folder / "result.json", self._folder / "searchable.pdf"
        result.write_text(self._make.document(*pages).model_dump_json())
        assert make_searchable(lambda _: None, original, "application/pdf", result, target)
        return target

    def text(self, path: Path, number: int = 1) -> str:
        """Return the text of a page as pdfium has it."""
        with pypdfium2.PdfDocument(path) as pdf:
            # What pdfium takes for a hyphen at the end of a line.
            return str(pdf[number - 1].get_textpage().get_text_range()).replace("\ufffe", "-\n")

    def words(self, path: Path, number: int = 1) -> Counter[str]:
        """Return the words of a page as pdfium has them."""
        return Counter(self.text(path, number).split())

    def rendered(self, path: Path) -> list[bytes]:
        """Return what each page looks like."""
        with pypdfium2.PdfDocument(path) as pdf:
            return [page.render(scale=1).to_pil().tobytes() for page in pdf]


def _sheet(pdf: Pdf, font: Object, attributes: dict[str, Any], content: bytes) -> Dictionary:
    size = [float(side) for side in attributes.get("MediaBox", (0, 0, 300, 400))]
    picture = Stream(
        pdf,
        bytes(range(256)) * 16,
        Type=Name.XObject,
        Subtype=Name.Image,
        Width=64,
        Height=64,
        ColorSpace=Name.DeviceGray,
        BitsPerComponent=8,
    )
    drawn = b"q %f 0 0 %f %f %f cm /Picture Do Q " % (size[2] - size[0], size[3] - size[1], size[0], size[1])
    resources = Dictionary(XObject=Dictionary(Picture=picture), Font=Dictionary(F1=font))
    page = {"MediaBox": Array(size), "Resources": resources, **attributes, "Contents": pdf.make_stream(drawn + content)}
    return Dictionary(Type=Name.Page, **page)


@pytest.fixture
def scans(tmp_path: Path, make: Make) -> Scans:
    return Scans(tmp_path, make)
