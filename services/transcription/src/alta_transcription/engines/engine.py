"""The port that every engine which transcribes stands behind: what goes in, what comes out, what can go wrong.

An adapter (the local one, Google's) turns its engine's answer into the canonical segments of
`alta_common.contracts.results`, so that nothing outside of this package knows which engine it was.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from alta_common.contracts.projects import Channels
from alta_common.contracts.results import EngineInfo, Segment
from alta_common.engines.checkpoints import Checkpoint, NoCheckpoint
from alta_common.engines.operations import NoOperations, Operations
from alta_common.engines.port import SourceFile

Progress = Callable[[float, float], None]
"""Hears, on the event loop, how many seconds of how many are done."""


@dataclass(frozen=True)
class SpeechOptions:
    """What the request asks of an engine, and where it keeps what is done of a long work.

    `language` is the one spoken (BCP 47), where it was said. `operations` remembers work that was given to others.
    With `channels` "separate", who speaks in a segment of a recording of several is "channel 1", "channel 2" and so on.
    """

    language: str | None = None
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)
    operations: Operations = field(default_factory=NoOperations)
    channels: Channels = "mixed"


@dataclass(frozen=True)
class Transcription:
    """A recording that was transcribed; segments in the order of their time."""

    engine: EngineInfo
    language: str | None
    duration_ms: int
    segments: list[Segment]
    warnings: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return what was said, as running text."""
        return " ".join(segment.text for segment in self.segments)


class SpeechEngine(Protocol):
    """Transcribes recordings. One instance serves many recordings at a time."""

    async def transcribe(self, source: SourceFile, options: SpeechOptions, progress: Progress) -> Transcription:
        """Return what is said in `source`. Raises `EngineError`; cancelling it stops the work here at once.

        What it has given to others (`options.operations`) goes on after that: the next call waits for it.
        """
        ...

    async def abandon(self, options: SpeechOptions) -> None:
        """Stop what this or an earlier process has given to others for the request: nobody wants it any more."""
        ...

    async def check(self) -> None:
        """Raise when the engine cannot take a recording now."""
        ...
