"""One example of every event: for the AsyncAPI documents, and for tests that go through all contracts."""

from datetime import UTC, datetime
from uuid import UUID

from alta_common.contracts import identity, ocr, projects, transcription
from alta_common.contracts.event import Event

_AT = datetime(2026, 3, 14, 9, 26, 53, 589793, tzinfo=UTC)
_PROJECT = UUID("01958f3c-7a10-7c3e-8a51-0d6c2b9f4e10")
_USER = UUID("01958f3c-7a10-7b01-9f22-41d0a7c3e5b2")
_DOCUMENT = UUID("01958f3d-2b44-7e80-b6a3-5f1d9c0e7a21")
_SAMPLE = UUID("01958f3d-9c02-7d15-a2f4-6b8e3d1c5f32")
_REQUEST = UUID("01958f3d-2b51-7aa0-8c11-7e2f4a6b8d43")
_OTHER = UUID("01958f3e-0f73-7c44-9d55-8f3a5b7c9e54")
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_RESULT = {"result_sha256": _SHA256, "result_bytes": 48213, "engine_name": "local", "engine_version": "1.4.2"}
_FILE = {"size_bytes": 482133, "sha256": _SHA256, "language": "de"}
_MAIL = {"email_id": _OTHER, "to": "ada@example.org", "sealed": "gAAAAABn…"}


def _all() -> list[Event]:
    of_document = {"document_id": _DOCUMENT, "project_id": _PROJECT}
    of_sample = {"voice_sample_id": _SAMPLE, "project_id": _PROJECT}
    return [
        identity.UserRegistered(user_id=_USER, email="ada@example.org", full_name="Ada Lovelace", **_said()),
        identity.IdentityEmailRequested(template="verify_email", values={"full_name": "Ada"}, **_MAIL, **_said()),
        projects.ProjectCreated(
            project_id=_PROJECT, name="Letters", created_by=_USER, owner_email="ada@example.org", **_said()
        ),
        projects.DocumentOcrRequested(
            object_key=f"documents/{_PROJECT}/{_DOCUMENT}/original",
            content_type="application/pdf",
            filename="letter.pdf",
            **of_document,
            **_FILE,
            **_said(),
        ),
        projects.DocumentOcrCancelled(attempt=1, reason="superseded", **of_document, **_said()),
        projects.VoiceTranscriptionRequested(
            object_key=f"voice/{_PROJECT}/{_SAMPLE}/original",
            content_type="audio/wav",
            filename="interview.wav",
            **of_sample,
            **_FILE,
            **_said(),
        ),
        projects.VoiceTranscriptionCancelled(attempt=1, reason="cancelled", **of_sample, **_said()),
        projects.ProjectsEmailRequested(
            template="project_invitation", values={"project_name": "Letters"}, **_MAIL, **_said()
        ),
        projects.WebhookDeliveryRequested(
            delivery_id=_OTHER,
            project_id=_PROJECT,
            url="https://example.org/hooks/alta",
            event_type="document.completed",
            payload={"document_id": str(_DOCUMENT)},
            sealed_secret="gAAAAABn…",  # noqa: S106 - an example of what is sealed
            **_said(),
        ),
        *_of_engines(of_document | {"request_event_id": _REQUEST}, of_sample | {"request_event_id": _REQUEST}),
    ]


def _of_engines(of_document: dict[str, UUID], of_sample: dict[str, UUID]) -> list[Event]:
    damaged = {"code": "corrupt_file", "detail": "The file is damaged.", "retryable": False}
    return [
        ocr.DocumentOcrProgressed(done=3, total=12, unit="page", **of_document, **_said()),
        ocr.DocumentOcrCompleted(
            result_key=f"results/{_DOCUMENT}/{_REQUEST}.json",
            pages=12,
            confidence=0.97,
            engine_seconds=14.2,
            **of_document,
            **_RESULT,
            **_said(),
        ),
        ocr.DocumentOcrFailed(**damaged, **of_document, **_said()),
        transcription.VoiceTranscriptionProgressed(done=60, total=312, unit="second", **of_sample, **_said()),
        transcription.VoiceTranscriptionCompleted(
            result_key=f"results/{_SAMPLE}/{_REQUEST}.json",
            duration_ms=312_480,
            confidence=0.94,
            engine_seconds=11.6,
            **of_sample,
            **_RESULT,
            **_said(),
        ),
        transcription.VoiceTranscriptionFailed(**damaged, **of_sample, **_said()),
    ]


def _said() -> dict[str, object]:
    return {"event_id": UUID("01958f3d-2b51-7c3e-8a51-0d6c2b9f4e65"), "occurred_at": _AT}


EXAMPLES: dict[str, Event] = {event.ROUTING_KEY: event for event in _all()}
"""Routing key → an event."""
