"""What the ports of all engines have: the file that goes in, and what can go wrong. Light: worker processes load it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SourceFile:
    """What an engine works on, in a local file. `content_type` is what its uploader's service found, a hint only."""

    path: Path
    content_type: str


class EngineError(Exception):
    """An engine cannot read a document, or transcribe a recording.

    `code` is stable and part of the API, `detail` a sentence that the owner of the file understands, `retryable`
    whether the same file may be tried at another time.
    """

    def __init__(self, code: str, detail: str, retryable: bool = False) -> None:
        super().__init__(code, detail, retryable)
        self.code = code
        self.detail = detail
        self.retryable = retryable


class InputError(EngineError):
    """The file is at fault: it will never go better than now."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        # What travels between processes is rebuilt from these.
        self.args = (code, detail)
