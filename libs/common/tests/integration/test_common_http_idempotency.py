from datetime import timedelta

import asyncpg
import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy import text
from starlette.responses import Response

from alta_common.clock import utc_now
from alta_common.db.engine import create_engine, create_sessions
from alta_common.http.app import create_api
from alta_common.http.idempotency import (
    IdempotencyKeyInProgressError,
    IdempotencyKeyReusedError,
    IdempotencyKeys,
    StoredAnswer,
    create_idempotency,
    fingerprint_of,
)
from alta_common.http.replay import IdempotencyKey, replay
from alta_common.ids import new_id
from alta_common.testing.postgres import FreshDatabase

SCHEMA = "projects"
CALLER = new_id()
KEYS = IdempotencyKeys(SCHEMA)


@pytest.fixture
async def sessions(database: FreshDatabase):
    connection = await asyncpg.connect(database.settings(SCHEMA).postgres_dsn)
    for statement in create_idempotency(SCHEMA):
        await connection.execute(statement)
    await connection.close()
    engine = create_engine(database.settings(SCHEMA), application_name="tests")
    yield create_sessions(engine)
    await engine.dispose()


async def answered(sessions, key: str, fingerprint: str = "f", caller=CALLER) -> None:
    async with sessions.begin() as session:
        assert await KEYS.begin(session, caller, key, fingerprint) is None
        await KEYS.finish(session, caller, key, status=201, headers={"Location": "/x"}, body=b'{"a":1}')


async def test_the_same_request_again_gets_the_same_answer(sessions) -> None:
    await answered(sessions, "k")

    async with sessions.begin() as session:
        stored = await KEYS.begin(session, CALLER, "k", "f")

    assert stored == StoredAnswer(201, {"Location": "/x"}, b'{"a":1}')


async def test_another_request_with_the_key_is_refused(sessions) -> None:
    await answered(sessions, "k")

    async with sessions.begin() as session:
        with pytest.raises(IdempotencyKeyReusedError):
            await KEYS.begin(session, CALLER, "k", "g")


async def test_a_key_belongs_to_its_caller(sessions) -> None:
    await answered(sessions, "k")
    await answered(sessions, "k", "g", caller=new_id())


async def test_while_the_first_runs_the_second_is_told_so(sessions) -> None:
    async with sessions.begin() as first:
        await KEYS.begin(first, CALLER, "k", "f")
        async with sessions.begin() as second:
            with pytest.raises(IdempotencyKeyInProgressError):
                await KEYS.begin(second, CALLER, "k", "f")
            assert await KEYS.begin(second, CALLER, "other", "f") is None


async def test_a_request_that_failed_leaves_its_key_free(sessions) -> None:
    async with sessions() as session:
        await KEYS.begin(session, CALLER, "k", "f")
        await session.rollback()

    await answered(sessions, "k", "g")


async def test_after_a_day_a_key_is_new_again(sessions) -> None:
    await answered(sessions, "k")
    async with sessions.begin() as session:
        await session.execute(text("UPDATE projects.idempotency_key SET created_at = now() - interval '25 hours'"))

    await answered(sessions, "k", "g")


async def test_old_keys_are_swept(sessions) -> None:
    await answered(sessions, "k")

    async with sessions.begin() as session:
        await KEYS.sweep(session)
        kept = await session.scalar(text("SELECT count(*) FROM projects.idempotency_key"))
        await KEYS.sweep(session, utc_now() + timedelta(hours=25))
        left = await session.scalar(text("SELECT count(*) FROM projects.idempotency_key"))

    assert (kept, left) == (1, 0)


@pytest.fixture
def app(sessions) -> FastAPI:
    app = create_api("books")

    @app.post("/books")
    async def add(body: dict[str, str], key: IdempotencyKey = None) -> Response:
        async with sessions.begin() as session:
            if key is None:
                return Response(b"no key", 201)
            stored = await KEYS.begin(session, CALLER, key, fingerprint_of("POST", "/books", body))
            if stored is not None:
                return replay(stored)
            made = str(new_id()).encode()
            await KEYS.finish(session, CALLER, key, status=201, headers={"Location": "/books/1"}, body=made)
            return Response(made, 201, {"Location": "/books/1"})

    return app


async def test_over_http_the_second_answer_is_the_first_and_says_so(app: FastAPI) -> None:
    async with AsyncClient(transport=ASGITransport(app), base_url="http://books") as client:
        first = await client.post("/books", json={"title": "a"}, headers={"Idempotency-Key": "k"})
        again = await client.post("/books", json={"title": "a"}, headers={"Idempotency-Key": '"k"'})
        other = await client.post("/books", json={"title": "b"}, headers={"Idempotency-Key": "k"})
        empty = await client.post("/books", json={"title": "b"}, headers={"Idempotency-Key": '""'})

    assert (again.status_code, again.content, again.headers["location"]) == (201, first.content, "/books/1")
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (empty.status_code, empty.json()["errors"][0]["pointer"]) == (422, "/header/Idempotency-Key")
