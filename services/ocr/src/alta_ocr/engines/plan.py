"""What the service and its worker processes tell each other about a document. Light: the service imports no engine."""

from dataclasses import dataclass
from pathlib import Path

from alta_common.contracts.results import EngineInfo
from alta_ocr.engines.limits import DocumentLimits


@dataclass(frozen=True)
class Document:
    """A file to be read, what it may ask of us, and the backend for pages that have no text of their own."""

    path: Path
    limits: DocumentLimits
    backend: str


@dataclass(frozen=True)
class Plan:
    """What a document turned out to be."""

    media_type: str
    pages: int
    ocr: EngineInfo
    """Who reads its pages by looking at them."""
    text_layer: EngineInfo
    """Who reads them where they have text of their own."""


@dataclass(frozen=True)
class Whole:
    """A document that is to be sent elsewhere, in parts where it is too large."""

    document: Document
    media_type: str
    pages: int
    is_fit: bool
    """Whether its pages are taken there as they stand in the file; else even all of them have to be copied first."""
