"""The migrations keep what is there, and lead to what the models say."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, Table, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.db.engine import create_engine
from alta_common.db.migrations import upgrade
from alta_common.ids import new_id
from alta_common.testing.postgres import DatabaseMaker, FreshDatabase
from alta_projects.models.base import Base

MIGRATIONS = Path(__file__).parents[2] / "migrations"

ITEM: dict[str, Any] = {
    "kind": "document",
    "filename": "a.pdf",
    "content_type": "application/pdf",
    "size_bytes": 9,
    "object_key": "documents/a",
    "attempt": 1,
    "progress_done": 0,
    "revision": 0,
    "version": 1,
    "engine": None,
    "language": None,
    "result_key": None,
    "result_sha256": None,
    "result_bytes": None,
}
INSERT = """
INSERT INTO projects.media_item (id, project_id, created_by, created_at, updated_at, requested_at, completed_at, sha256,
    is_copy, metadata, warnings, needs_review, status, {columns})
VALUES (:id, :project_id, :id, now(), now(), now(), {completed}, :sha256, false, '{{}}', '["no_text"]', false, :status,
    {values})
"""


@pytest.fixture
def first(database_maker: DatabaseMaker) -> Iterator[FreshDatabase]:
    """A database of the first version."""
    database = asyncio.run(database_maker.create())
    upgrade(database.settings("projects"), "projects", MIGRATIONS, "0001")
    yield database
    asyncio.run(database_maker.drop(database))


@pytest.fixture
async def old(first: FreshDatabase) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(first.settings("projects"), application_name="test")
    yield engine
    await engine.dispose()


async def a_project(engine: AsyncEngine) -> UUID:
    project_id = new_id()
    insert = "INSERT INTO projects.project VALUES (:id, 'Letters', NULL, '{}', :id, now(), now(), NULL, 1)"
    async with engine.begin() as connection:
        await connection.execute(text(insert), {"id": project_id})
    return project_id


async def an_item(database: AsyncEngine, project_id: UUID, status: str, /, **more: Any) -> UUID:
    item_id = new_id()
    columns = {**ITEM, **more}
    statement = INSERT.format(
        columns=", ".join(columns),
        values=", ".join(f":{name}" for name in columns),
        completed="now()" if status == "completed" else "NULL",
    )
    ids = {"id": item_id, "project_id": project_id, "sha256": str(item_id), "status": status}
    async with database.begin() as connection:
        await connection.execute(text(statement), columns | ids)
    return item_id


async def row_of(engine: AsyncEngine, item_id: UUID) -> Any:
    async with engine.begin() as connection:
        query = text("SELECT * FROM projects.media_item WHERE id = :id")
        return (await connection.execute(query, {"id": item_id})).one()


async def test_results_that_there_are_become_first_revisions(first: FreshDatabase, old: AsyncEngine) -> None:
    project_id = await a_project(old)
    result = {"result_key": "results/a.json", "result_sha256": "ab", "result_bytes": 7, "revision": 1}
    read = await an_item(old, project_id, "completed", engine="rapidocr", language="en", **result)
    waiting = await an_item(old, project_id, "queued", language="de")
    broken = await an_item(old, project_id, "failed", language="fr")

    await asyncio.to_thread(upgrade, first.settings("projects"), "projects", MIGRATIONS, "0002")

    async with old.begin() as connection:
        (revision,) = (await connection.execute(text("SELECT * FROM projects.result_revision"))).all()
    assert (revision.item_id, revision.revision, revision.attempt) == (read, 1, 1)
    assert (revision.engine, revision.language, revision.result_key) == ("rapidocr", "en", "results/a.json")
    assert (revision.warnings, revision.created_at) == (["no_text"], (await row_of(old, read)).completed_at)
    assert [(await row_of(old, item)).asked_language for item in (read, waiting, broken)] == [None, "de", "fr"]
    by_the_version_before = await an_item(old, project_id, "queued")
    deadlines = [(await row_of(old, item)).deadline_at for item in (read, waiting, broken, by_the_version_before)]
    assert [deadline is not None for deadline in deadlines] == [False, True, False, True]
    # What failed before there were mails of that has been seen by now.
    assert (await row_of(old, broken)).untold_failure_at is None


async def test_the_tables_have_the_columns_of_the_models(engine: AsyncEngine) -> None:
    def columns_of(connection: Connection, table: Table) -> set[tuple[str, bool]]:
        found = inspect(connection).get_columns(table.name, schema=table.schema)
        return {(column["name"], column["nullable"]) for column in found}

    for table in Base.metadata.sorted_tables:
        async with engine.connect() as connection:
            found = await connection.run_sync(columns_of, table)
        assert found == {(column.name, bool(column.nullable)) for column in table.columns}, table.name
