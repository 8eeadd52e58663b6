"""Running Alembic: each service migrates its own schema, one process at a time."""

import asyncio
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.schema import SchemaItem

from alta_common.db.names import checked_identifier
from alta_common.settings import PostgresSettings, load

VERSION_TABLE = "alembic_version"

# How long a second migration waits for the first, and how long a statement waits for a table that is in use: a
# migration that cannot have its lock must fail, not queue all traffic behind itself.
_TURN_MILLISECONDS = 300_000
_LOCK_MILLISECONDS = 10_000


def upgrade(settings: PostgresSettings, schema: str, script_location: Path, revision: str = "head") -> None:
    """Bring `schema` to `revision` with the migrations of the folder `script_location`, under an advisory lock.

    Starts an event loop of its own: call it from a thread where one is running. Raises what Alembic and the
    database raise.
    """
    checked_identifier(schema)
    config = Config()
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["settings"] = settings
    command.upgrade(config, revision)


def run_env(schema: str, metadata: MetaData) -> None:
    """Do what a service's `migrations/env.py` is for. Settings come from `upgrade`, or else from the environment."""
    settings: PostgresSettings = context.config.attributes.get("settings") or load(PostgresSettings)
    asyncio.run(_migrate(settings, checked_identifier(schema), metadata))


async def _migrate(settings: PostgresSettings, schema: str, metadata: MetaData) -> None:
    engine = create_async_engine(settings.postgres_url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.execute(text(f"SET lock_timeout = {_TURN_MILLISECONDS}"))
            # Of the session, not of a transaction: every migration commits on its own.
            await connection.execute(text("SELECT pg_advisory_lock(hashtext(:name))"), {"name": f"migrate:{schema}"})
            await connection.execute(text(f"SET lock_timeout = {_LOCK_MILLISECONDS}"))
            await connection.commit()
            await connection.run_sync(_run, schema, metadata)
            await connection.commit()
    finally:
        await engine.dispose()


def _run(connection: Connection, schema: str, metadata: MetaData) -> None:
    def is_ours(_: SchemaItem, name: str | None, kind: str, reflected: bool, compare_to: SchemaItem | None) -> bool:
        # What was made by plain DDL (outbox, audit…) has no mapped class and must not be dropped by autogenerate.
        return not (kind == "table" and reflected and compare_to is None and name is not None)

    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        version_table_schema=schema,
        include_schemas=True,
        include_name=lambda name, kind, _: kind != "schema" or name == schema,
        include_object=is_ours,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
