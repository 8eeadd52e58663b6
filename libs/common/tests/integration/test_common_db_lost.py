import asyncio

import asyncpg
import pytest
from sqlalchemy import text

from alta_common.db.engine import create_engine, create_sessions
from alta_common.db.lost import DatabaseUnavailableError
from alta_common.testing import eventually
from alta_common.testing.postgres import FreshDatabase


async def test_a_server_that_is_not_there_is_named(database: FreshDatabase) -> None:
    engine = create_engine(database.settings("projects").model_copy(update={"postgres_port": 1}), application_name="t")

    with pytest.raises(DatabaseUnavailableError):
        async with create_sessions(engine)() as session:
            await session.execute(text("SELECT 1"))
    await engine.dispose()


async def test_a_connection_that_ends_in_a_transaction_is_named_and_replaced(database: FreshDatabase) -> None:
    engine = create_engine(database.settings("projects"), application_name="t")
    sessions = create_sessions(engine)

    with pytest.raises(DatabaseUnavailableError):
        async with sessions.begin() as session:
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    async with sessions.begin() as session:
        assert (await session.execute(text("SELECT 1"))).scalar_one() == 1
    await engine.dispose()


@pytest.mark.parametrize("trusted_seconds", [0.0, 3600.0])
async def test_connections_that_ended_while_nobody_used_them_are_given_to_nobody(
    database: FreshDatabase, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, trusted_seconds: float
) -> None:
    monkeypatch.setattr("alta_common.db.lost._TRUSTED_SECONDS", trusted_seconds)
    engine = create_engine(database.settings("projects"), application_name="idle")
    admin = await asyncpg.connect(postgres_dsn)

    async def pid(together: asyncio.Barrier) -> int:
        async with create_sessions(engine).begin() as session:
            found: int = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            await together.wait()
        return found

    async def pids() -> set[int]:
        together = asyncio.Barrier(3)
        return set(await asyncio.gather(*(pid(together) for _ in range(3))))

    before = await pids()
    assert await pids() == before
    await admin.execute("SELECT pg_terminate_backend(pid, 60000) FROM unnest($1::int[]) AS pid", list(before))

    assert not before & await pids()

    await admin.close()
    await engine.dispose()


async def test_a_connection_that_ends_before_commit_is_named(database: FreshDatabase) -> None:
    engine = create_engine(database.settings("projects"), application_name="t")
    sessions = create_sessions(engine)
    session = sessions()
    pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    async with sessions.begin() as other:
        await other.execute(text("SELECT pg_terminate_backend(:pid, 60000)"), {"pid": pid})

    with pytest.raises(DatabaseUnavailableError):
        await session.commit()

    await session.close()
    await engine.dispose()


async def test_a_cancelled_task_stays_cancelled(database: FreshDatabase, postgres_dsn: str) -> None:
    engine = create_engine(database.settings("projects"), application_name="cancelled")
    admin = await asyncpg.connect(postgres_dsn)

    async def wait_long() -> None:
        async with create_sessions(engine)() as session:
            await session.execute(text("SELECT pg_sleep(60)"))

    task = asyncio.create_task(wait_long())
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cancelled' AND wait_event = 'PgSleep'"
    await eventually(lambda: admin.fetchval(sleeping))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await admin.close()
    await engine.dispose()


async def test_a_server_that_is_full_is_named(database: FreshDatabase, postgres_dsn: str) -> None:
    admin = await asyncpg.connect(postgres_dsn)
    name = database.settings("projects").postgres_db
    engine = create_engine(database.settings("projects"), application_name="t")
    await admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')

    with pytest.raises(DatabaseUnavailableError):
        async with create_sessions(engine)() as session:
            await session.execute(text("SELECT 1"))

    await admin.close()
    await engine.dispose()


async def test_a_connection_that_nobody_gives_back_is_named(database: FreshDatabase) -> None:
    settings = database.settings("projects").model_copy(
        update={"postgres_pool_size": 1, "postgres_pool_timeout_seconds": 0.1}
    )
    engine = create_engine(settings, application_name="t")

    async with engine.connect():
        with pytest.raises(DatabaseUnavailableError):
            async with create_sessions(engine).begin() as session:
                await session.execute(text("SELECT 1"))
    await engine.dispose()


async def test_a_wrong_statement_is_no_lost_connection(database: FreshDatabase) -> None:
    engine = create_engine(database.settings("projects"), application_name="t")

    with pytest.raises(Exception, match="nonsense") as raised:
        async with create_sessions(engine).begin() as session:
            await session.execute(text("SELECT nonsense"))

    assert not isinstance(raised.value, DatabaseUnavailableError)
    await engine.dispose()
