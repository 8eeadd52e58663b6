"""A running application of projects on a fresh database, and callers of it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from asgi_lifespan import LifespanManager
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.audit import AuditTrail
from alta_common.clock import utc_now
from alta_common.contracts.identity import UserRegistered
from alta_common.contracts.ocr import DocumentOcrCompleted, DocumentOcrFailed, DocumentOcrProgressed
from alta_common.contracts.transcription import VoiceTranscriptionCompleted
from alta_common.db.engine import Sessions, create_engine, create_sessions
from alta_common.ids import derived_id, new_id
from alta_common.inbox import Inbox
from alta_common.storage.filesystem import FilesystemObjectStorage
from alta_common.testing.postgres import DatabaseMaker, FreshDatabase
from alta_common.testing.tokens import TokenMaker
from alta_projects.application.audit import ProjectAudit
from alta_projects.application.people import PersonService
from alta_projects.application.results import ResultService
from alta_projects.main import create_app, create_parts
from alta_projects.repositories.changes import ChangeAnnouncer
from alta_projects.settings import ProjectsSettings

MIGRATIONS = Path(__file__).parents[1] / "migrations"

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64)

DOCUMENT_MAX_BYTES = 300_000


@pytest.fixture(scope="module")
def database(database_maker: DatabaseMaker) -> Iterator[FreshDatabase]:
    """One database a module: everybody in the tests is somebody new, and sees nothing of the others."""
    database = asyncio.run(database_maker.create([("projects", MIGRATIONS)]))
    yield database
    asyncio.run(database_maker.drop(database))


@pytest.fixture
def settings(database: FreshDatabase, tmp_path: Path) -> ProjectsSettings:
    return ProjectsSettings(
        **database.settings("projects").model_dump(),
        storage_dir=tmp_path / "objects",
        document_max_bytes=DOCUMENT_MAX_BYTES,
        voice_max_bytes=2 * DOCUMENT_MAX_BYTES,
        wait_look_again_seconds=30,
        render_workers=1,
    )


@pytest.fixture
def storage(settings: ProjectsSettings) -> FilesystemObjectStorage:
    return FilesystemObjectStorage(settings.storage_dir)


@pytest.fixture
async def engine(database: FreshDatabase) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database.settings("projects"), application_name="test")
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> Sessions:
    return create_sessions(engine)


@pytest.fixture(scope="session")
def tokens() -> TokenMaker:
    return TokenMaker()


@dataclass
class Caller:
    """Somebody who uses the API."""

    http: httpx.AsyncClient
    user_id: UUID = field(default_factory=new_id)

    @property
    def email(self) -> str:
        return f"{self.user_id}@example.org"

    def registered(self, full_name: str = "Somebody") -> UserRegistered:
        """What identity says of them."""
        return UserRegistered(user_id=self.user_id, email=self.email, full_name=full_name, occurred_at=utc_now())

    async def project(self, name: str = "Parish registers", **more: Any) -> dict[str, Any]:
        answer = await self.http.post("/v1/projects", json={"name": name, **more})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def upload(
        self,
        project_id: str,
        content: bytes = PDF,
        *,
        filename: str = "page.pdf",
        kind: str = "documents",
        data: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        return await self.http.post(
            f"/v1/projects/{project_id}/{kind}",
            files={"file": (filename, content, "application/octet-stream")},
            data=data,
            params=params,
            headers=headers,
        )

    async def document(self, project_id: str, content: bytes = PDF, **more: Any) -> dict[str, Any]:
        answer = await self.upload(project_id, content, **more)
        assert answer.status_code == 202, answer.text
        return answer.json()

    async def send(self, path: str, body: bytes, content_type: str) -> httpx.Response:
        """Send a body as it is."""
        return await self.http.post(path, content=body, headers={"Content-Type": content_type})


@dataclass
class Api:
    """The application; `somebody()` makes a new caller."""

    app: Any
    tokens: TokenMaker
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    def somebody(self) -> Caller:
        user_id = new_id()
        return Caller(self.client(self.tokens.headers(user_id)), user_id)

    def client(self, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.clients.append(httpx.AsyncClient(transport=transport, base_url="http://projects", headers=headers))
        return self.clients[-1]


@pytest.fixture
async def api(settings: ProjectsSettings, tokens: TokenMaker, storage: FilesystemObjectStorage) -> AsyncIterator[Api]:
    parts = create_parts(settings, tokens.verifier(), storage)
    app = create_app(settings, parts)
    async with LifespanManager(app):
        api = Api(app, tokens)
        yield api
        for client in api.clients:
            await client.aclose()


@pytest.fixture
def ada(api: Api) -> Caller:
    """Somebody with a project or two."""
    return api.somebody()


@pytest.fixture
def bob(api: Api) -> Caller:
    """Somebody else."""
    return api.somebody()


Join = Callable[[Caller, str, Caller, str], Awaitable[None]]


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
    from alta_common.contracts.results import EngineInfo, Line, OcrResult, Page, Word

    box = (0.1, 0.1, 0.5, 0.2)
    line = Line(text=text, confidence=0.9, box=box, words=[Word(text=text, confidence=None, box=box)])
    page = Page(number=1, width=100, height=200, confidence=0.9, lines=[line])
    engine = EngineInfo(name="rapidocr", version="3.10")
    result = OcrResult(document_id=document_id, engine=engine, language="en", text=text, pages=[page])
    return result.model_dump_json().encode()


def _transcript(sample_id: str, text: str) -> bytes:
    from alta_common.contracts.results import EngineInfo, Segment, SpokenWord, TranscriptResult

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

    async def join(host: Caller, project_id: str, guest: Caller, role: str) -> None:
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


@dataclass
class Leftovers:
    """What uploads have left behind, or not."""

    storage: FilesystemObjectStorage
    sessions: Sessions

    def files(self) -> list[Path]:
        """Everything in the store, unfinished files included."""
        return [path for path in self.storage._root.rglob("*") if path.is_file()]

    async def objects(self, project_id: str) -> list[str]:
        """What the sweep would look after."""
        query = text("SELECT object_key FROM projects.unclaimed_object WHERE object_key LIKE :pattern")
        async with self.sessions() as session:
            return list((await session.execute(query, {"pattern": f"%/{project_id}/%"})).scalars())


@pytest.fixture
def leftovers(storage: FilesystemObjectStorage, sessions: Sessions) -> Leftovers:
    return Leftovers(storage, sessions)
