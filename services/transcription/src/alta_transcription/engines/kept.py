"""What is transcribed of a recording so far, kept so that a killed worker or process costs its last chunk only."""

import asyncio
import time

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from alta_common.contracts.results import Segment
from alta_common.engines.checkpoints import Checkpoint
from alta_transcription.engines.whisper_jobs import Heard, Seam

log = structlog.get_logger()

_LAST_SAVE_SECONDS = 1.0


class Part(BaseModel):
    """What was transcribed between two seams."""

    model_config = ConfigDict(frozen=True)

    begin: int
    seam: Seam
    segments: list[Segment]


class KeptTranscript:
    """Grows by what the worker reports. Load one with `load`, and `settle` it when the work ends, however it does."""

    def __init__(self, checkpoint: Checkpoint, config_hash: str, keep_every_seconds: float) -> None:
        self._checkpoint = checkpoint
        self._prefix = f"{config_hash}-"
        self._keep_every_seconds = keep_every_seconds
        self._saved = Seam()
        self._saved_at = time.monotonic()
        self._saving: asyncio.Task[None] | None = None
        self._unsaved: list[Segment] = []
        self._since_seam: list[Segment] = []
        self._done: list[Segment] = []
        self.seam = Seam()

    @classmethod
    async def load(cls, checkpoint: Checkpoint, config_hash: str, keep_every_seconds: float) -> "KeptTranscript":
        """Return what an earlier delivery of the request has transcribed with the same configuration."""
        kept = cls(checkpoint, config_hash, keep_every_seconds)
        await kept._take_up()
        if kept.seam.sample:
            log.info("transcription.taken_up", from_sample=kept.seam.sample)
        return kept

    @property
    def segments(self) -> list[Segment]:
        """Return all segments so far, in the order of time."""
        return [*self._done, *self._since_seam]

    def hear(self, heard: Heard) -> None:
        """Take a report of the worker; at a seam, what came before it may be saved in the background."""
        self._since_seam.extend(heard.segments)
        if heard.seam is None:
            return
        self.seam = heard.seam
        self._done.extend(self._since_seam)
        self._unsaved.extend(self._since_seam)
        self._since_seam = []
        is_saving = self._saving is not None and not self._saving.done()
        if not is_saving and time.monotonic() - self._saved_at >= self._keep_every_seconds:
            self._save()

    def back_to_seam(self) -> None:
        """Forget what was heard since the last seam: it will be heard again."""
        self._since_seam = []

    async def settle(self) -> None:
        """Wait a moment for a save that is under way."""
        if self._saving is not None:
            await asyncio.wait([self._saving], timeout=_LAST_SAVE_SECONDS)

    def _save(self) -> None:
        part = Part(begin=self._saved.sample, seam=self.seam, segments=self._unsaved)
        self._saved, self._unsaved, self._saved_at = self.seam, [], time.monotonic()
        self._saving = asyncio.create_task(self._write(part))

    async def _write(self, part: Part) -> None:
        content = await asyncio.to_thread(part.model_dump_json)
        await self._checkpoint.save(self._name(part.begin), content.encode())

    async def _take_up(self) -> None:
        """Follow the seams from part to part.

        Where one could not be saved, what lies behind it is transcribed again; seams may then lie elsewhere, and the
        parts of before stay beside the new ones.
        """
        parts = await self._checkpoint.load()
        while (content := parts.pop(self._name(self.seam.sample), None)) is not None:
            try:
                part = await asyncio.to_thread(Part.model_validate_json, content)
            except ValidationError as error:
                log.warning("checkpoint.unusable", part=self._name(self.seam.sample), error=str(error)[:200])
                return
            self.seam = self._saved = part.seam
            self._done.extend(part.segments)

    def _name(self, begin: int) -> str:
        return f"{self._prefix}{begin:012d}"
