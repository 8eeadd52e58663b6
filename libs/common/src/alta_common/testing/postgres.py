"""A fresh PostgreSQL database for each test, cloned from a template that has the migrations already."""

import asyncio
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg
from pydantic import SecretStr

from alta_common.db.migrations import upgrade
from alta_common.settings import PostgresSettings

ROLE_PASSWORD = "alta-test"  # noqa: S105 - the password of roles on servers that are for tests only

Migrations = Sequence[tuple[str, Path]]
"""Schemas, each with the folder of its migrations; applied in this order."""


@dataclass(frozen=True)
class FreshDatabase:
    """A database with the roles and schemas of the system, for one test."""

    superuser_dsn: str

    def settings(self, role: str) -> PostgresSettings:
        """Return the settings of a service: `identity`, `projects`, `notifications` or `relay`."""
        address = urlsplit(self.superuser_dsn)
        return PostgresSettings(
            postgres_host=address.hostname or "localhost",
            postgres_port=address.port or 5432,
            postgres_db=unquote(address.path[1:]),
            postgres_user=f"alta_{role}",
            postgres_password=SecretStr(ROLE_PASSWORD),
            postgres_pool_size=5,
        )

    def environment(self, role: str) -> dict[str, str]:
        """Return the same as environment variables, for a process that a test starts."""
        settings = self.settings(role)
        return {
            "POSTGRES_HOST": settings.postgres_host,
            "POSTGRES_PORT": str(settings.postgres_port),
            "POSTGRES_DB": settings.postgres_db,
            "POSTGRES_USER": settings.postgres_user,
            "POSTGRES_PASSWORD": ROLE_PASSWORD,
        }


class DatabaseMaker:
    """Makes databases on one server; a template per set of migrations is built once."""

    def __init__(self, server_dsn: str) -> None:
        self._server_dsn = server_dsn
        self._templates: dict[tuple[tuple[str, Path], ...], str] = {}
        self._numbers = itertools.count(1)

    async def create(self, migrations: Migrations = ()) -> FreshDatabase:
        """Return a new database with `migrations` applied."""
        template = await self._template(tuple(migrations))
        return FreshDatabase(self._dsn(await self._clone(template)))

    async def drop(self, database: FreshDatabase) -> None:
        """Remove a database, whoever is connected to it."""
        await self._drop(urlsplit(database.superuser_dsn).path[1:])

    async def close(self) -> None:
        """Remove the templates."""
        for name in reversed(self._templates.values()):
            await self._drop(name)
        self._templates.clear()

    async def _template(self, migrations: tuple[tuple[str, Path], ...]) -> str:
        if migrations not in self._templates:
            self._templates[migrations] = await self._build(migrations)
        return self._templates[migrations]

    async def _build(self, migrations: tuple[tuple[str, Path], ...]) -> str:
        if not migrations:
            return await self._build_base()
        name = await self._clone(await self._template(()))
        database = FreshDatabase(self._dsn(name))
        for schema, scripts in migrations:
            # Alembic starts an event loop of its own.
            await asyncio.to_thread(upgrade, database.settings(schema), schema, scripts)
        return name

    async def _build_base(self) -> str:
        from alta_stack.cluster import ROLES, create_roles_and_schemas

        name = self._new_name()
        await create_roles_and_schemas(self._server_dsn, dict.fromkeys(ROLES, ROLE_PASSWORD), name)
        return name

    async def _clone(self, template: str) -> str:
        name = self._new_name()
        server = await asyncpg.connect(self._server_dsn)
        try:
            await server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        finally:
            await server.close()
        return name

    async def _drop(self, name: str) -> None:
        server = await asyncpg.connect(self._server_dsn)
        try:
            await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        finally:
            await server.close()

    def _new_name(self) -> str:
        return f"alta_test_{os.getpid()}_{next(self._numbers)}"

    def _dsn(self, database: str) -> str:
        return urlunsplit(urlsplit(self._server_dsn)._replace(path=f"/{database}"))
