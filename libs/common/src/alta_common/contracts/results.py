"""The canonical results as they lie in object storage: what engines make and projects serves (API.md).

Boxes are `(x0, y0, x1, y1)`, each 0-1 of the upright page, origin top left. Confidences are 0-1, or None where the
engine did not say.
"""

from collections.abc import Iterable
from uuid import UUID

from pydantic import BaseModel, ConfigDict

Box = tuple[float, float, float, float]


def cancellation_key(item_id: UUID, attempt: int) -> str:
    """Return the key of the empty object that says: the result of this run is not wanted any more."""
    return f"results/{item_id}/cancelled-{attempt}"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class EngineInfo(_Part):
    """Which engine made a result, in which version and configuration."""

    name: str
    version: str
    config_hash: str | None = None


class Word(_Part):
    """A word and where it stands."""

    text: str
    confidence: float | None
    box: Box


class Line(_Part):
    """A line of text, in reading order on its page."""

    text: str
    confidence: float | None
    box: Box
    words: list[Word]


class Page(_Part):
    """A page. `width` and `height` are of the upright page in `unit`; `rotation` is what was applied to get there."""

    number: int
    width: float
    height: float
    unit: str = "px"
    rotation: int = 0
    source: str = "ocr"
    confidence: float | None
    lines: list[Line]


class OcrResult(_Part):
    """A read document."""

    document_id: UUID
    revision: int = 1
    engine: EngineInfo
    language: str | None
    text: str
    pages: list[Page]
    warnings: list[str] = []

    @property
    def confidence(self) -> float | None:
        """Return the mean over the words that an engine gave a confidence for, or None where it gave none."""
        return _mean(word.confidence for page in self.pages for line in page.lines for word in line.words)


class SpokenWord(_Part):
    """A word and when it was said."""

    start_ms: int
    end_ms: int
    text: str
    confidence: float | None


class Segment(_Part):
    """A stretch of speech."""

    start_ms: int
    end_ms: int
    text: str
    confidence: float | None
    speaker: str | None = None
    low_confidence: bool = False
    words: list[SpokenWord]


class TranscriptResult(_Part):
    """A transcribed recording."""

    voice_sample_id: UUID
    revision: int = 1
    engine: EngineInfo
    language: str | None
    duration_ms: int
    text: str
    segments: list[Segment]
    warnings: list[str] = []

    @property
    def confidence(self) -> float | None:
        """Return the mean over the words that an engine gave a confidence for, or None where it gave none."""
        mean = _mean(word.confidence for segment in self.segments for word in segment.words)
        return None if mean is None else round(mean, 4)


def _mean(confidences: Iterable[float | None]) -> float | None:
    known = [confidence for confidence in confidences if confidence is not None]
    return sum(known) / len(known) if known else None
