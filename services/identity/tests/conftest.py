"""Identity over real servers: the application, a clock that tests move, and what it wrote for others to hear."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import httpx
import orjson
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from alta_common.audit import AuditTrail, AuditVerification
from alta_common.db.engine import create_sessions
from alta_common.sealing import Sealer
from alta_common.telemetry.logs import setup_logs
from alta_common.testing.postgres import DatabaseMaker, FreshDatabase
from alta_identity.main import Parts, create_app, identity_parts
from alta_identity.settings import IdentitySettings

MIGRATIONS = Path(__file__).parents[1] / "migrations"
PASSWORD = "violet-kettle-orbit-93"

_TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'identity'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    AND relname <> 'alembic_version'
"""


class MovableClock:
    """The time; it stands still until a test moves it on."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class Person:
    """Somebody with an account, and what the last sign-in or refresh answered."""

    email: str
    full_name: str
    password: str
    tokens: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}


class Records:
    """What identity wrote into its schema, read as a superuser would."""

    def __init__(self, connection: asyncpg.Connection, sealer: Sealer) -> None:
        self.connection = connection
        self._sealer = sealer

    async def events(self, event_type: str | None = None) -> list[dict[str, Any]]:
        rows = await self.connection.fetch("SELECT body FROM identity.outbox_event ORDER BY id")
        envelopes = [orjson.loads(row["body"]) for row in rows]
        return [envelope for envelope in envelopes if event_type in {None, envelope["type"]}]

    async def mails(self, to: str) -> list[dict[str, Any]]:
        found = [envelope["data"] for envelope in await self.events("EMAIL_SEND_REQUESTED")]
        return [mail for mail in found if mail["to"] == to]

    async def last_token(self, to: str) -> str:
        mail = (await self.mails(to))[-1]
        return self._sealer.open(mail["sealed"])["token"]

    async def audit(self, action: str | None = None) -> list[asyncpg.Record]:
        rows = await self.connection.fetch("SELECT * FROM identity.audit_log ORDER BY id")
        return [row for row in rows if action in {None, row["action"]}]

    async def count(self, table: str) -> int:
        return int(await self.connection.fetchval(f"SELECT count(*) FROM identity.{table}"))


class OpenApi(Protocol):
    """Opens the application, with settings that differ."""

    async def __call__(self, **changed: Any) -> "Api": ...


class Api(httpx.AsyncClient):
    """A client of the application in this process, which knows the parts behind it."""

    parts: Parts
    records: Records

    async def post_json(self, path: str, body: dict[str, Any], **more: Any) -> httpx.Response:
        return await self.post(path, json=body, **more)

    async def register(self, email: str = "ada@example.com", **changed: Any) -> httpx.Response:
        body = {"email": email, "password": PASSWORD, "full_name": "Ada Lovelace", **changed}
        return await self.post("/v1/auth/register", json=body)

    async def login(self, email: str = "ada@example.com", password: str = PASSWORD, **more: Any) -> httpx.Response:
        return await self.post("/v1/auth/login", json={"email": email, "password": password}, **more)

    async def refresh(self, refresh_token: str) -> httpx.Response:
        return await self.post("/v1/auth/refresh", json={"refresh_token": refresh_token})

    async def a_person(self, email: str = "ada@example.com", full_name: str = "Ada Lovelace") -> Person:
        """Register, prove the address, sign in."""
        registered = await self.register(email, full_name=full_name)
        assert registered.status_code == 202, registered.text
        verified = await self.post_json("/v1/auth/verify-email", {"token": await self.records.last_token(email)})
        assert verified.status_code == 204, verified.text
        signed_in = await self.login(email)
        assert signed_in.status_code == 200, signed_in.text
        return Person(email, full_name, PASSWORD, signed_in.json())


@pytest.fixture(autouse=True)
def _logs() -> None:
    # As in production: structlog's own default draws tracebacks with every local variable, which takes seconds.
    setup_logs("identity", "WARNING")


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture(scope="session")
def migrated(database_maker: DatabaseMaker) -> Iterator[FreshDatabase]:
    """One database for all tests here: emptying it takes a fraction of the time that making one does."""
    made = asyncio.run(database_maker.create([("identity", MIGRATIONS)]))
    yield made
    asyncio.run(database_maker.drop(made))


@pytest.fixture
async def database(migrated: FreshDatabase) -> FreshDatabase:
    connection = await asyncpg.connect(migrated.superuser_dsn)
    tables = await connection.fetch(_TABLES)
    names = ", ".join(f"identity.{row['relname']}" for row in tables)
    # As a replica would: the audit trail's trigger refuses TRUNCATE to everybody else.
    await connection.execute(f"SET session_replication_role = replica; TRUNCATE {names} RESTART IDENTITY")
    await connection.close()
    return migrated


@pytest.fixture
def settings(database: FreshDatabase, redis_url: str) -> IdentitySettings:
    return IdentitySettings(
        **database.settings("identity").model_dump(),
        redis_url=redis_url,
        mail_sealing_key=SecretStr(Fernet.generate_key().decode()),
        identity_key_encryption_key=SecretStr(Fernet.generate_key().decode()),
        identity_password_pepper=SecretStr("a pepper that is only for tests"),
        identity_argon2_memory_kib=64,
        identity_argon2_time_cost=1,
        identity_even_answer_ms=0,
    )


@pytest.fixture
async def records(database: FreshDatabase, settings: IdentitySettings) -> AsyncIterator[Records]:
    connection = await asyncpg.connect(database.superuser_dsn)
    yield Records(connection, Sealer(settings.sealing_keys))
    await connection.close()


@pytest.fixture
async def open_api(settings: IdentitySettings, records: Records, clock: MovableClock) -> AsyncIterator[OpenApi]:
    async with AsyncExitStack() as closing:

        async def open_one(**changed: Any) -> Api:
            return await closing.enter_async_context(_api(settings.model_copy(update=changed), records, clock))

        yield open_one


@pytest.fixture
async def api(open_api: OpenApi) -> Api:
    return await open_api()


@pytest.fixture
async def person(api: Api) -> Person:
    return await api.a_person()


@pytest.fixture
def verify_audit(api: Api) -> Callable[[UUID], Awaitable[AuditVerification]]:
    async def verify(stream: UUID) -> AuditVerification:
        async with create_sessions(api.parts.engine)() as session:
            return await AuditTrail("identity").verify(session, stream)

    return verify


@asynccontextmanager
async def _api(settings: IdentitySettings, records: Records, clock: MovableClock) -> AsyncIterator[Api]:
    async with identity_parts(settings, clock=clock) as parts:
        await parts.keys.keep()
        transport = httpx.ASGITransport(create_app(parts))
        async with Api(transport=transport, base_url="http://identity.test") as client:
            client.parts = parts
            client.records = records
            yield client
