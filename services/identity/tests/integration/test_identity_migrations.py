import asyncio

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from alta_common.db.migrations import upgrade
from alta_common.testing.plugin import MakeDatabase
from alta_identity.models.base import Base


def differences(connection, metadata):
    def is_mapped(name, kind, parents):
        # Outbox, audit trail and idempotency keys are made by plain statements and have no mapped class.
        return name == "identity" if kind == "schema" else kind != "table" or f"identity.{name}" in metadata.tables

    options = {"include_schemas": True, "include_name": is_mapped, "compare_server_default": True}
    return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


async def test_the_migrations_make_what_the_models_say(settings):
    engine = create_async_engine(settings.postgres_url, poolclass=NullPool)

    async with engine.connect() as connection:
        found = await connection.run_sync(differences, Base.metadata)

    assert found == []


async def test_the_way_back_leaves_nothing_and_the_way_forth_works_again(make_database: MakeDatabase, pytestconfig):
    migrations = pytestconfig.rootpath / "services/identity/migrations"
    database = await make_database([("identity", migrations)])
    role = database.settings("identity")
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.attributes["settings"] = role

    await asyncio.to_thread(command.downgrade, config, "base")
    engine = create_async_engine(role.postgres_url, poolclass=NullPool)
    left = "SELECT relname FROM pg_class WHERE relnamespace = 'identity'::regnamespace AND relkind IN ('r','p','v','S')"
    async with engine.connect() as connection:
        assert (await connection.exec_driver_sql(left)).scalars().all() == ["alembic_version"]

    await asyncio.to_thread(upgrade, role, "identity", migrations)
