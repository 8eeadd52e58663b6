import asyncio
import sys
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from alta_common.db.base import new_metadata
from alta_common.db.engine import check_database, create_engine
from alta_common.outbox.table import create_outbox, drop_outbox
from alta_common.testing.plugin import MakeDatabase
from alta_common.testing.postgres import FreshDatabase

ENV = """
from alta_common.db.base import new_metadata
from alta_common.db.migrations import run_env

run_env("projects", new_metadata("projects"))
"""

FIRST = """
from alembic import op
from alta_common.audit import create_audit
from alta_common.inbox.table import create_inbox
from alta_common.outbox.table import create_outbox

revision = "0001"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE projects.thing (id integer PRIMARY KEY)")
    for statement in (*create_outbox("projects", "alta_relay"), *create_inbox("projects"), *create_audit("projects")):
        op.execute(statement)
"""

MIGRATE = """
import sys
from pathlib import Path
from alta_common.db.migrations import upgrade
from alta_common.settings import PostgresSettings

upgrade(PostgresSettings(), "projects", Path(sys.argv[1]))
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(ENV)
    (tmp_path / "versions" / "0001_first.py").write_text(FIRST)
    return tmp_path


async def test_processes_that_migrate_at_once_take_turns(database: FreshDatabase, scripts: Path) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", MIGRATE, str(scripts), env=database.environment("projects")
        )
        for _ in range(2)
    ]

    assert [await process.wait() for process in processes] == [0, 0]
    engine = create_engine(database.settings("projects"), application_name="tests")
    async with engine.connect() as connection:
        versions = await connection.execute(text("SELECT version_num FROM projects.alembic_version"))
        assert [row.version_num for row in versions] == ["0001"]
    await engine.dispose()


async def test_a_template_is_migrated_once(make_database: MakeDatabase, scripts: Path) -> None:
    first = await make_database([("projects", scripts)])
    (scripts / "env.py").unlink()
    second = await make_database([("projects", scripts)])

    for database in (first, second):
        connection = await asyncpg.connect(database.settings("projects").postgres_dsn)
        assert await connection.fetchval("SELECT count(*) FROM projects.outbox_events") == 0
        await connection.close()
    assert first != second


async def test_an_outbox_can_be_removed_again(database: FreshDatabase) -> None:
    connection = await asyncpg.connect(database.settings("identity").postgres_dsn)

    for _ in range(2):
        for statement in (*create_outbox("identity", "no_such_role"), *drop_outbox("identity")):
            await connection.execute(statement)

    left = "SELECT count(*) FROM pg_class WHERE relnamespace = 'identity'::regnamespace"
    assert await connection.fetchval(left) == 0
    await connection.close()


async def test_a_restarted_server_costs_no_failed_request(database: FreshDatabase) -> None:
    engine = create_engine(database.settings("projects"), application_name="tests")
    await check_database(engine)
    superuser = await asyncpg.connect(database.superuser_dsn)
    # Waiting until each has gone: one that is about to go still takes a question, and leaves it unanswered.
    end = (
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
        "WHERE usename = 'alta_projects' AND datname = current_database()"
    )
    assert [row["pg_terminate_backend"] for row in await superuser.fetch(end)] == [True]
    await superuser.close()

    await check_database(engine)

    await engine.dispose()


def test_a_schema_must_be_a_plain_name() -> None:
    with pytest.raises(ValueError, match="identifier"):
        new_metadata('projects"; DROP')
