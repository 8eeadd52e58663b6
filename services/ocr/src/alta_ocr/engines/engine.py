"""The port that every engine which reads documents stands behind: what goes in, what comes out, what can go wrong.

An adapter (the local one, Google's) turns its engine's answer into the canonical pages of
`alta_common.contracts.results`, so that nothing outside of this package knows which engine it was.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from alta_common.contracts.results import EngineInfo, Page
from alta_common.engines.checkpoints import Checkpoint, NoCheckpoint
from alta_common.engines.operations import NoOperations, Operations
from alta_common.engines.port import SourceFile

Progress = Callable[[int, int], None]
"""Hears, on the event loop, how many pages of how many are done."""


@dataclass(frozen=True)
class OcrOptions:
    """What the request asks of an engine, and where it keeps what is done of a long work, or done elsewhere."""

    language: str | None = None
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)
    operations: Operations = field(default_factory=NoOperations)


@dataclass(frozen=True)
class PageReading:
    """A page that was read: the canonical JSON of its `Page`, and what is needed without parsing that again."""

    number: int
    source: str
    text: str
    content: bytes
    confidence: float | None
    scored_words: int
    seconds: float

    @classmethod
    def of(cls, page: Page, seconds: float) -> "PageReading":
        """Return the reading of a canonical page that took `seconds`."""
        return cls(
            number=page.number,
            source=page.source,
            text="\n".join(line.text for line in page.lines),
            content=page.model_dump_json().encode(),
            confidence=page.confidence,
            scored_words=sum(word.confidence is not None for line in page.lines for word in line.words),
            seconds=seconds,
        )


@dataclass(frozen=True)
class DocumentReading:
    """A document that was read; pages in order."""

    engine: EngineInfo
    language: str | None
    pages: list[PageReading]
    warnings: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return the text of all pages, an empty line between them."""
        return "\n\n".join(page.text for page in self.pages)

    @property
    def confidence(self) -> float | None:
        """Return the mean over the words that an engine gave a confidence for, or None where it gave none."""
        scored = [(page.confidence, page.scored_words) for page in self.pages if page.confidence is not None]
        words = sum(count for _, count in scored)
        return sum(confidence * count for confidence, count in scored) / words if words else None


class OcrEngine(Protocol):
    """Reads documents. One instance serves many documents at a time."""

    async def recognize(self, source: SourceFile, options: OcrOptions, progress: Progress) -> DocumentReading:
        """Return what `source` says. Raises `EngineError`; cancelling it stops the work at once."""
        ...

    async def abandon(self, options: OcrOptions) -> None:
        """Give up for good what this or an earlier delivery of the request has left running elsewhere.

        Being cancelled is not enough: an operation at Google goes on then, for the next delivery to wait for.
        """
        ...

    async def check(self) -> None:
        """Raise when the engine cannot take a document now."""
        ...


def config_hash(configuration: dict[str, Any]) -> str:
    """Return the SHA-256 of a configuration, so that results made with another one can be told apart."""
    return hashlib.sha256(orjson.dumps(configuration, option=orjson.OPT_SORT_KEYS)).hexdigest()
