"""A voice sample: speech to be transcribed."""

from math import ceil
from typing import ClassVar

from alta_common.contracts.engines import EngineKind
from alta_common.contracts.projects import CancelReason, VoiceTranscriptionCancelled, VoiceTranscriptionRequested
from alta_common.contracts.transcription import VoiceTranscriptionCompleted
from alta_projects.models.media_item import Completed, MediaItem


class VoiceSample(MediaItem):
    """An uploaded recording."""

    KIND: ClassVar[EngineKind] = "voice_sample"
    NOUN: ClassVar[str] = "voice sample"
    FOLDER: ClassVar[str] = "voice"
    UNIT: ClassVar[str] = "second"

    __mapper_args__ = {"polymorphic_identity": "voice_sample"}  # noqa: RUF012  SQLAlchemy's own form

    def request(self) -> VoiceTranscriptionRequested:
        """Return the event that asks for the recording to be transcribed."""
        return VoiceTranscriptionRequested(
            voice_sample_id=self.id,
            project_id=self.project_id,
            attempt=self.attempt,
            object_key=self.object_key,
            content_type=self.content_type,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
            filename=self.filename,
            language=self.language,
            engine=self.engine,
            deadline_at=self.deadline_at,
            channels=self.channels,
        )

    def cancellation(self, reason: CancelReason) -> VoiceTranscriptionCancelled:
        """Return the event that tells who reads the voice sample to leave it."""
        return VoiceTranscriptionCancelled(
            voice_sample_id=self.id, project_id=self.project_id, attempt=self.attempt, reason=reason
        )

    def _take_extent(self, event: Completed) -> None:
        if isinstance(event, VoiceTranscriptionCompleted):
            self.duration_ms = event.duration_ms
            self.progress_done = self.progress_total = ceil(event.duration_ms / 1000)
