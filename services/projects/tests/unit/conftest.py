"""Results as engines make them."""

from collections.abc import Sequence
from typing import Any

import pytest

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
