"""The port that every engine which transcribes stands behind: what goes in, what comes out, what can go wrong.

An adapter (the local one, Google's) turns its engine's answer into the canonical segments of
`alta_common.contracts.results`, so that nothing outside of this package knows which engine it was.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from alta_common.contracts.results import EngineInfo, Segment

Progress = Callable[[float, float], None]
"""Hears, on the event loop, how many seconds of how many are done."""


class EngineError(Exception):
    """An engine cannot transcribe a recording.

    `code` is stable and part of the API, `detail` a sentence that the owner of the file understands, `retryable`
    whether the same file may be transcribed at another time.
    """

    def __init__(self, code: str, detail: str, retryable: bool = False) -> None:
        super().__init__(code, detail, retryable)
        self.code = code
        self.detail = detail
        self.retryable = retryable


class InputError(EngineError):
    """The file is at fault: it will never be transcribed better than now."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        # What travels between processes is rebuilt from these.
        self.args = (code, detail)


@dataclass(frozen=True)
class RecordingSource:
    """A recording in a local file. `content_type` is what its uploader's service found, a hint only."""

    path: Path
    content_type: str


@dataclass(frozen=True)
class SpeechOptions:
    """What the request asks of an engine: the language spoken (BCP 47), where it was said."""

    language: str | None = None


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

    async def transcribe(self, source: RecordingSource, options: SpeechOptions, progress: Progress) -> Transcription:
        """Return what is said in `source`. Raises `EngineError`; cancelling it stops the work at once."""
        ...

    async def check(self) -> None:
        """Raise when the engine cannot take a recording now."""
        ...
