"""What things look like, for the OpenAPI document."""

import json
from typing import Any

_COMMON: dict[str, Any] = {
    "project_id": "0194f3a2-5b7e-7c11-9d1e-2f6b7a8c9d0e",
    "status": "completed",
    "attempt": 1,
    "revision": 1,
    "deadline_at": "2026-03-03T09:14:07.120334Z",
    "language": "en",
    "warnings": [],
    "needs_review": False,
    "review_status": None,
    "error": None,
    "created_by": "0194f39f-1c2d-7a3b-8e4f-5a6b7c8d9e0f",
    "created_at": "2026-03-02T09:14:07.120334Z",
    "updated_at": "2026-03-02T09:14:11.480121Z",
    "completed_at": "2026-03-02T09:14:11.480121Z",
}

DOCUMENT: dict[str, Any] = {
    **_COMMON,
    "id": "0194f3a4-0b1c-7d2e-8f3a-4b5c6d7e8f90",
    "filename": "register-1848.pdf",
    "content_type": "application/pdf",
    "size_bytes": 482113,
    "sha256": "49c28c332031c5be46a9f1cc28754ba850448ac9d4ffcc1cbb169f779b66b273",
    "progress": {"done": 3, "total": 3, "unit": "page"},
    "engine": "rapidocr",
    "confidence": 0.962,
    "metadata": {"box": 12, "year": 1848},
    "pages": 3,
}

VOICE_SAMPLE: dict[str, Any] = {
    **_COMMON,
    "id": "0194f3a5-1c2d-7e3f-9a4b-5c6d7e8f9001",
    "filename": "interview.m4a",
    "content_type": "audio/mp4",
    "size_bytes": 1204882,
    "sha256": "5f2c6a9be0d1347f8a1f0c2d9b7e64530a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "progress": {"done": 73, "total": 73, "unit": "second"},
    "engine": "faster-whisper",
    "confidence": 0.913,
    "metadata": {},
    "channels": "mixed",
    "duration_ms": 72480,
}

_REVISION: dict[str, Any] = {
    "revision": 2,
    "attempt": 2,
    "language": "de",
    "warnings": [],
    "created_at": "2026-03-04T11:02:40.003217Z",
}

DOCUMENT_REVISION: dict[str, Any] = {
    **_REVISION,
    "engine": {"name": "documentai", "version": "1.5", "config_hash": "3f9a1c0b5d7e"},
    "confidence": 0.981,
    "pages": 3,
}

VOICE_SAMPLE_REVISION: dict[str, Any] = {
    **_REVISION,
    "engine": {"name": "google-speech", "version": "long", "config_hash": "8c1d2e3f4a5b"},
    "confidence": 0.942,
    "duration_ms": 72480,
}

_PROGRESS = {**DOCUMENT, "status": "processing", "progress": {"done": 2, "total": 3, "unit": "page"}}
EVENTS = (
    "retry: 3000\nid: 41\n\n"
    f"event: document.progress\nid: 42\ndata: {json.dumps(_PROGRESS)}\n\n"
    ": still here\n\n"
    f"event: document.completed\nid: 43\ndata: {json.dumps(DOCUMENT)}\n\n"
)
