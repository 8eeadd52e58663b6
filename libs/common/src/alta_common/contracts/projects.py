"""Events of projects."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from alta_common.contracts.email import EmailRequested
from alta_common.contracts.event import Event

EXCHANGE = "projects.events"

CancelReason = Literal["cancelled", "deleted", "superseded", "deadline"]
"""Why a run's result is not wanted any more: its owner said so, the item is gone, a newer run has begun, it is late."""

Channels = Literal["mixed", "separate"]
"""How a recording of several channels is heard: all as one, or each by itself, as the two sides of a telephone call."""


class ProjectCreated(Event):
    """A project exists."""

    TYPE: ClassVar[str] = "PROJECT_CREATED"
    EXCHANGE: ClassVar[str] = EXCHANGE
    ROUTING_KEY: ClassVar[str] = "projects.project.created.v1"
    AGGREGATE: ClassVar[str] = "project"

    project_id: UUID
    name: str
    created_by: UUID
    owner_email: str | None = Field(default=None, description="Where notifications may tell the owner.")

    @property
    def aggregate_id(self) -> UUID:
        """Return the project's id."""
        return self.project_id


class DocumentOcrRequested(Event):
    """A stored document is to be read."""

    TYPE: ClassVar[str] = "DOCUMENT_OCR_REQUESTED"
    EXCHANGE: ClassVar[str] = EXCHANGE
    ROUTING_KEY: ClassVar[str] = "projects.document.ocr_requested.v1"
    AGGREGATE: ClassVar[str] = "document"

    document_id: UUID
    project_id: UUID
    attempt: int = Field(default=1, description="Which run of the document this is; a result of an older run is stale.")
    object_key: str
    content_type: str
    size_bytes: int
    sha256: str
    filename: str
    language: str | None = None
    engine: str | None = Field(default=None, description="The engine asked for; none: the deployment's own choice.")
    deadline_at: datetime | None = Field(default=None, description="When it is too late for a result; none: never.")

    @property
    def aggregate_id(self) -> UUID:
        """Return the document's id."""
        return self.document_id


class DocumentOcrCancelled(Event):
    """The result of a run, or of one before it, is not wanted any more. Every ocr process hears of it.

    What is at work stops; what still waits in a queue finds the marker `results.cancellation_key`, written before.
    """

    TYPE: ClassVar[str] = "DOCUMENT_OCR_CANCELLED"
    EXCHANGE: ClassVar[str] = EXCHANGE
    ROUTING_KEY: ClassVar[str] = "projects.document.ocr_cancelled.v1"
    AGGREGATE: ClassVar[str] = "document"

    document_id: UUID
    project_id: UUID
    attempt: int = Field(description="The run; those before it are cancelled with it.")
    reason: CancelReason

    @property
    def aggregate_id(self) -> UUID:
        """Return the document's id."""
        return self.document_id


class VoiceTranscriptionRequested(Event):
    """A stored recording is to be transcribed."""

    TYPE: ClassVar[str] = "VOICE_TRANSCRIPTION_REQUESTED"
    EXCHANGE: ClassVar[str] = EXCHANGE
    ROUTING_KEY: ClassVar[str] = "projects.voice.transcription_requested.v1"
    AGGREGATE: ClassVar[str] = "voice_sample"

    voice_sample_id: UUID
    project_id: UUID
    attempt: int = Field(default=1, description="Which run of the sample this is; a result of an older run is stale.")
    object_key: str
    content_type: str
    size_bytes: int
    sha256: str
    filename: str
    language: str | None = None
    engine: str | None = Field(default=None, description="The engine asked for; none: the deployment's own choice.")
    deadline_at: datetime | None = Field(default=None, description="When it is too late for a result; none: never.")
    channels: Channels | None = Field(default=None, description="How several channels are heard; none: mixed.")

    @property
    def aggregate_id(self) -> UUID:
        """Return the sample's id."""
        return self.voice_sample_id


class VoiceTranscriptionCancelled(Event):
    """The result of a run, or of one before it, is not wanted any more. Every transcription process hears of it.

    What is at work stops; what still waits in a queue finds the marker `results.cancellation_key`, written before.
    """

    TYPE: ClassVar[str] = "VOICE_TRANSCRIPTION_CANCELLED"
    EXCHANGE: ClassVar[str] = EXCHANGE
    ROUTING_KEY: ClassVar[str] = "projects.voice.transcription_cancelled.v1"
    AGGREGATE: ClassVar[str] = "voice_sample"

    voice_sample_id: UUID
    project_id: UUID
    attempt: int = Field(description="The run; those before it are cancelled with it.")
    reason: CancelReason

    @property
    def aggregate_id(self) -> UUID:
        """Return the sample's id."""
        return self.voice_sample_id


class ProjectsEmailRequested(EmailRequested):
    """Projects wants a mail sent."""

    EXCHANGE: ClassVar[str] = EXCHANGE
    ROUTING_KEY: ClassVar[str] = "projects.email.requested.v1"


class WebhookDeliveryRequested(Event):
    """A subscriber of a project is to be told of a fact."""

    TYPE: ClassVar[str] = "WEBHOOK_DELIVERY_REQUESTED"
    EXCHANGE: ClassVar[str] = EXCHANGE
    ROUTING_KEY: ClassVar[str] = "projects.webhook.requested.v1"
    AGGREGATE: ClassVar[str] = "webhook_delivery"

    delivery_id: UUID
    project_id: UUID
    url: str
    event_type: str
    payload: dict[str, object]
    sealed_secret: str = Field(description="The subscription's signing secret, sealed.")

    @property
    def aggregate_id(self) -> UUID:
        """Return the delivery's id."""
        return self.delivery_id
