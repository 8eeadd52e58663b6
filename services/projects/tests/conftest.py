"""A running application of projects on a fresh database, and callers of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from asgi_lifespan import LifespanManager
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.clock import utc_now
from alta_common.contracts.identity import UserRegistered
from alta_common.db.engine import Sessions, create_engine, create_sessions
from alta_common.ids import new_id
from alta_common.storage.filesystem import FilesystemObjectStorage
from alta_common.testing.postgres import DatabaseMaker, FreshDatabase
from alta_common.testing.tokens import TokenMaker
from alta_projects.main import create_app, create_parts
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
