from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from alta_common.db.engine import Sessions, create_engine, create_sessions
from alta_common.testing.plugin import MakeDatabase
from alta_common.testing.postgres import FreshDatabase

MIGRATIONS = Path(__file__).parents[1] / "migrations"


@pytest.fixture
async def database(make_database: MakeDatabase) -> FreshDatabase:
    """A fresh database with notifications' tables."""
    return await make_database([("notifications", MIGRATIONS)])


@pytest.fixture
async def sessions(database: FreshDatabase) -> AsyncIterator[Sessions]:
    engine = create_engine(database.settings("notifications"), application_name="tests")
    yield create_sessions(engine)
    await engine.dispose()
