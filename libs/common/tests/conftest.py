from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.audit import create_audit
from alta_common.db.engine import Sessions, create_engine, create_sessions
from alta_common.inbox.table import create_inbox
from alta_common.outbox.table import create_outbox
from alta_common.testing.postgres import FreshDatabase

SCHEMA = "projects"


@pytest.fixture
async def tables(database: FreshDatabase) -> FreshDatabase:
    """A database whose schema `projects` has an outbox, an inbox and an audit trail."""
    connection = await asyncpg.connect(database.settings(SCHEMA).postgres_dsn)
    try:
        async with connection.transaction():
            for statement in (*create_outbox(SCHEMA, "alta_relay"), *create_inbox(SCHEMA), *create_audit(SCHEMA)):
                await connection.execute(statement)
    finally:
        await connection.close()
    return database


@pytest.fixture
async def engine(tables: FreshDatabase) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(tables.settings(SCHEMA), application_name="tests")
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> Sessions:
    return create_sessions(engine)


@pytest.fixture
async def superuser(tables: FreshDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(tables.superuser_dsn)
    yield connection
    await connection.close()
