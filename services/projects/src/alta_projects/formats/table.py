"""Every format that a result can be had in: what the routes serve and the API document describes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import orjson
from pydantic import BaseModel

from alta_common.contracts.results import OcrResult, TranscriptResult
from alta_projects.formats.alto import alto
from alta_projects.formats.hocr import hocr
from alta_projects.formats.markdown import markdown
from alta_projects.formats.srt import srt
from alta_projects.formats.vtt import vtt

Result = TypeVar("Result", bound=BaseModel)


class DocumentFormat(StrEnum):
    """How the result of a document is wanted."""

    JSON = "json"
    TEXT = "text"
    MARKDOWN = "markdown"
    HOCR = "hocr"
    ALTO = "alto"
    PDF = "pdf"


class TranscriptFormat(StrEnum):
    """How the result of a voice sample is wanted."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VTT = "vtt"


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """A format. `render` makes it from the canonical JSON; text is UTF-8 in all.

    It is None for the canonical JSON itself, and for what takes the original too (`needs_original`).
    """

    name: str
    media_type: str
    extension: str
    render: Callable[[bytes], str] | None
    needs_original: bool = False


def _text(canonical: bytes) -> str:
    # Its text alone, without making objects of a million words.
    return str(orjson.loads(canonical)["text"])


def _from(model: type[Result], write: Callable[[Result], str]) -> Callable[[bytes], str]:
    return lambda canonical: write(model.model_validate_json(canonical))


CANONICAL = "json"

_JSON = OutputFormat(CANONICAL, "application/json", ".json", None)
_TEXT = OutputFormat("text", "text/plain", ".txt", _text)

DOCUMENT_FORMATS: Mapping[DocumentFormat, OutputFormat] = {
    DocumentFormat.JSON: _JSON,
    DocumentFormat.TEXT: _TEXT,
    DocumentFormat.MARKDOWN: OutputFormat("markdown", "text/markdown", ".md", _from(OcrResult, markdown)),
    # Registered for hOCR: what is served as text/html, a browser may run.
    DocumentFormat.HOCR: OutputFormat("hocr", "text/vnd.hocr+html", ".hocr", _from(OcrResult, hocr)),
    DocumentFormat.ALTO: OutputFormat("alto", "application/xml", ".xml", _from(OcrResult, alto)),
    DocumentFormat.PDF: OutputFormat("pdf", "application/pdf", ".pdf", None, needs_original=True),
}
TRANSCRIPT_FORMATS: Mapping[TranscriptFormat, OutputFormat] = {
    TranscriptFormat.JSON: _JSON,
    TranscriptFormat.TEXT: _TEXT,
    TranscriptFormat.SRT: OutputFormat("srt", "application/x-subrip", ".srt", _from(TranscriptResult, srt)),
    TranscriptFormat.VTT: OutputFormat("vtt", "text/vtt", ".vtt", _from(TranscriptResult, vtt)),
}
