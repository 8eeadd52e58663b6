"""What comes back from engines, and what is owed and noted because of it."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.audit import AuditTrail
from alta_common.contracts.ocr import DocumentOcrCompleted, DocumentOcrFailed, DocumentOcrProgressed
from alta_common.contracts.results import (
    EngineInfo,
    Line,
    OcrResult,
    Page,
    Segment,
    SpokenWord,
    TranscriptResult,
    Word,
)
from alta_common.contracts.transcription import VoiceTranscriptionCompleted
from alta_common.db.engine import Sessions
from alta_common.ids import derived_id, new_id
from alta_common.inbox import Inbox
from alta_common.storage.filesystem import FilesystemObjectStorage
from alta_projects.application.audit import ProjectAudit
from alta_projects.application.people import PersonService
from alta_projects.application.results import ResultService
from alta_projects.repositories.changes import ChangeAnnouncer

Join = Callable[[Any, str, Any, str], Awaitable[None]]


@dataclass
class Engines:
    """What engines answer, about the given items."""

    storage: FilesystemObjectStorage

    def progressed(self, document: dict[str, Any], done: int, total: int = 4, **more: Any) -> DocumentOcrProgressed:
        return DocumentOcrProgressed(**_about(document), done=done, total=total, unit="page", **more)

    async def completed(self, document: dict[str, Any], text: str = "Hello", **more: Any) -> DocumentOcrCompleted:
        about = _about(document)
        body = _ocr_result(document["id"], text)
        key = f"results/{document['id']}/{about['request_event_id']}.json"
        stored = await self.storage.put_bytes(key, body, "application/json")
        facts = {"confidence": 0.91, "language": "en", "pages": 4, "engine_seconds": 1.5}
        facts |= {"engine_name": "rapidocr", "engine_version": "3.10", **more}
        return DocumentOcrCompleted(
            **about,
            event_id=derived_id(about["request_event_id"], "completed"),
            result_key=key,
            result_sha256=stored.sha256,
            result_bytes=stored.size_bytes,
            **facts,
        )

    async def transcribed(self, sample: dict[str, Any], text: str = "Hello") -> VoiceTranscriptionCompleted:
        request_id = new_id()
        key = f"results/{sample['id']}/{request_id}.json"
        stored = await self.storage.put_bytes(key, _transcript(sample["id"], text), "application/json")
        return VoiceTranscriptionCompleted(
            voice_sample_id=sample["id"],
            project_id=sample["project_id"],
            attempt=sample["attempt"],
            request_event_id=request_id,
            result_key=key,
            result_sha256=stored.sha256,
            result_bytes=stored.size_bytes,
            engine_name="faster-whisper",
            engine_version="1.2",
            language="en",
            duration_ms=2_500,
            confidence=0.8,
            engine_seconds=0.4,
        )

    def failed(self, document: dict[str, Any], code: str = "corrupt_file", **more: Any) -> DocumentOcrFailed:
        facts = {"detail": "The file is damaged.", "retryable": False, **more}
        return DocumentOcrFailed(**_about(document), code=code, **facts)


def _about(document: dict[str, Any]) -> dict[str, Any]:
    # As the request's own id would be: one for each run of a document.
    run = f"{document['id']}{document['attempt']}"
    request_id = UUID(bytes=hashlib.sha256(run.encode()).digest()[:16])
    ids = {"document_id": document["id"], "project_id": document["project_id"], "request_event_id": request_id}
    return {**ids, "attempt": document["attempt"]}


def _ocr_result(document_id: str, text: str) -> bytes:
    box = (0.1, 0.1, 0.5, 0.2)
    line = Line(text=text, confidence=0.9, box=box, words=[Word(text=text, confidence=None, box=box)])
    page = Page(number=1, width=100, height=200, confidence=0.9, lines=[line])
    engine = EngineInfo(name="rapidocr", version="3.10")
    result = OcrResult(document_id=document_id, engine=engine, language="en", text=text, pages=[page])
    return result.model_dump_json().encode()


def _transcript(sample_id: str, text: str) -> bytes:
    word = SpokenWord(start_ms=0, end_ms=400, text=text, confidence=0.8)
    segment = Segment(start_ms=0, end_ms=400, text=text, confidence=0.8, words=[word])
    engine = EngineInfo(name="faster-whisper", version="1.2")
    result = TranscriptResult(
        voice_sample_id=sample_id, engine=engine, language="en", duration_ms=2_500, text=text, segments=[segment]
    )
    return result.model_dump_json().encode()


@pytest.fixture
def engines(storage: FilesystemObjectStorage) -> Engines:
    return Engines(storage)


@pytest.fixture
def results(sessions: Sessions, engine: AsyncEngine) -> ResultService:
    """What takes in the engines' answers."""
    audit = ProjectAudit(AuditTrail("projects"))
    return ResultService(sessions, Inbox("projects"), audit, ChangeAnnouncer(engine))


@pytest.fixture
def join(sessions: Sessions) -> Join:
    """Give somebody a place in the project of another, as identity and an invitation do."""
    people = PersonService(sessions, Inbox("projects"), ProjectAudit(AuditTrail("projects")))

    async def join(host: Any, project_id: str, guest: Any, role: str) -> None:
        await people.take_in(guest.registered())
        body = {"email": guest.email, "role": role}
        answer = await host.http.post(f"/v1/projects/{project_id}/members", json=body)
        assert answer.status_code == 201, answer.text

    return join


@dataclass
class Owed:
    """What is about to be published."""

    sessions: Sessions

    async def events(self, aggregate_id: str) -> list[dict[str, Any]]:
        """The events of an item, in order: each its `type` and its data."""
        query = text("SELECT body FROM projects.outbox_event WHERE aggregate_id = :id ORDER BY id")
        async with self.sessions() as session:
            bodies = (await session.execute(query, {"id": aggregate_id})).scalars().all()
        envelopes = [orjson.loads(body) for body in bodies]
        return [{"type": envelope["type"], **envelope["data"]} for envelope in envelopes]

    async def types(self, aggregate_id: str) -> list[str]:
        return [event["type"] for event in await self.events(aggregate_id)]


@pytest.fixture
def owed(sessions: Sessions) -> Owed:
    return Owed(sessions)


@dataclass
class Audited:
    """What the audit trail says."""

    sessions: Sessions

    async def of(self, item_id: str) -> list[tuple[str, dict[str, Any]]]:
        """What was done to an item, with its details, in order."""
        query = text("SELECT action, details FROM projects.audit_log WHERE subject_id = :id ORDER BY seq")
        async with self.sessions() as session:
            return [tuple(row) for row in (await session.execute(query, {"id": item_id})).all()]


@pytest.fixture
def audited(sessions: Sessions) -> Audited:
    return Audited(sessions)
