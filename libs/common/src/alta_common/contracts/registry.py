"""Every event that exists, and the exchanges that may be published to."""

from alta_common.contracts import identity, ocr, projects, transcription
from alta_common.contracts.event import Event

EVENTS: tuple[type[Event], ...] = (
    identity.UserRegistered,
    identity.IdentityEmailRequested,
    projects.ProjectCreated,
    projects.DocumentOcrRequested,
    projects.DocumentOcrCancelled,
    projects.VoiceTranscriptionRequested,
    projects.VoiceTranscriptionCancelled,
    projects.ProjectsEmailRequested,
    projects.WebhookDeliveryRequested,
    ocr.DocumentOcrProgressed,
    ocr.DocumentOcrCompleted,
    ocr.DocumentOcrFailed,
    transcription.VoiceTranscriptionProgressed,
    transcription.VoiceTranscriptionCompleted,
    transcription.VoiceTranscriptionFailed,
)

BY_ROUTING_KEY: dict[str, type[Event]] = {event.ROUTING_KEY: event for event in EVENTS}

EXCHANGES: frozenset[str] = frozenset(event.EXCHANGE for event in EVENTS)
