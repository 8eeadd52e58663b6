"""Events of transcription. All carry `request_event_id`, the request they answer; their own id derives from it."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from alta_common.contracts.event import Event

EXCHANGE = "transcription.events"


class _VoiceTranscriptionEvent(Event):
    EXCHANGE: ClassVar[str] = EXCHANGE
    AGGREGATE: ClassVar[str] = "voice_sample"

    voice_sample_id: UUID
    project_id: UUID
    request_event_id: UUID
    attempt: int = Field(default=1, description="The run that this answers, as the request named it.")

    @property
    def aggregate_id(self) -> UUID:
        """Return the recording's id."""
        return self.voice_sample_id


class VoiceTranscriptionProgressed(_VoiceTranscriptionEvent):
    """Work on a recording has begun or gone a step further. A sign of life: lost or late, it does no harm."""

    TYPE: ClassVar[str] = "VOICE_TRANSCRIPTION_PROGRESSED"
    ROUTING_KEY: ClassVar[str] = "transcription.voice.progressed.v1"

    done: int
    total: int
    unit: str = Field(description="What is counted: second (of audio).")


class VoiceTranscriptionCompleted(_VoiceTranscriptionEvent):
    """The recording was read; the canonical result lies in object storage."""

    TYPE: ClassVar[str] = "VOICE_TRANSCRIPTION_COMPLETED"
    ROUTING_KEY: ClassVar[str] = "transcription.voice.completed.v1"

    result_key: str
    result_sha256: str
    result_bytes: int
    engine_name: str
    engine_version: str
    engine_config_hash: str | None = None
    language: str | None = None
    duration_ms: int
    confidence: float | None = Field(default=None, description="Mean over the words, 0-1; None where no engine said.")
    warnings: list[str] = Field(default_factory=list)
    engine_seconds: float = Field(description="Wall time that the engine took.")


class VoiceTranscriptionFailed(_VoiceTranscriptionEvent):
    """The recording cannot be read, and why."""

    TYPE: ClassVar[str] = "VOICE_TRANSCRIPTION_FAILED"
    ROUTING_KEY: ClassVar[str] = "transcription.voice.failed.v1"

    code: str = Field(description="Stable and snake_case: corrupt_file, password_protected, timeout…")
    detail: str = Field(description="A sentence that the owner of the file understands.")
    retryable: bool = Field(description="Whether running it again may work.")
