"""How Document AI is asked, and what it takes.

Limits: https://cloud.google.com/document-ai/limits
"""

from dataclasses import dataclass

from alta_common.contracts.results import EngineInfo
from alta_ocr.engines.engine import config_hash
from alta_ocr.engines.limits import DocumentLimits

NAME = "documentai"

MAX_BYTES = 40_000_000
"""Of a file that is sent along with the request; Google takes 40 MiB, request included."""

MAX_PIXELS = 40_000_000
"""Of a picture; pages of PDFs have no such limit."""

BATCH_FILE_BYTES = 1_000_000_000
"""Of a file in a batch."""

SHARD_PAGES = 50
"""Of a piece of a batch's answer: some megabytes of JSON, which are read one after the other."""

_ONLINE_PAGES = 15
_IMAGELESS_PAGES = 30


@dataclass(frozen=True)
class DocumentAiConfig:
    """How documents are read at Google."""

    processor: str
    """`projects/P/locations/L/processors/ID`, with `/processorVersions/V` for one version of it."""
    limits: DocumentLimits
    page_seconds: float
    """How long inspecting or copying a page may take before its worker is killed."""
    at_once: int
    """Parts of one document that are under way at a time."""
    imageless: bool = False
    native_pdf: bool = True
    """Whether the text that a PDF has is taken where it can be (Google's `enable_native_pdf_parsing`)."""
    batch_pages: int = 200
    """Documents with more pages are read in a batch, where there is a bucket for it."""

    batch_file_pages: int = 500
    """Pages that a file of a batch may have."""

    @property
    def part_pages(self) -> int:
        """Return how many pages one request may have."""
        return _IMAGELESS_PAGES if self.imageless else _ONLINE_PAGES

    @property
    def info(self) -> EngineInfo:
        """Return the engine as results name it."""
        _, _, version = self.processor.partition("/processorVersions/")
        asked = {"processor": self.processor, "imageless": self.imageless, "native_pdf": self.native_pdf}
        return EngineInfo(name=NAME, version=version or "default", config_hash=config_hash(asked))


def processor_name(project: str, location: str, processor: str, version: str = "") -> str:
    """Return the resource name of a processor, or of one of its versions."""
    name = f"projects/{project}/locations/{location}/processors/{processor}"
    return f"{name}/processorVersions/{version}" if version else name
