"""A database that is crashed now and then: every question comes on a connection of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from alta_common.testing.postgres import FreshDatabase


class Database:
    """A database, asked as superuser."""

    def __init__(self, database: FreshDatabase) -> None:
        self.database = database

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[asyncpg.Connection]:
        """Connect."""
        connection = await asyncpg.connect(self.database.superuser_dsn, timeout=60)
        try:
            yield connection
        finally:
            connection.terminate()

    async def fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """Return all rows."""
        async with self.connected() as connection:
            return await connection.fetch(query, *values)

    async def value(self, query: str, *values: Any) -> Any:
        """Return the first column of the first row."""
        async with self.connected() as connection:
            return await connection.fetchval(query, *values)

    async def execute_as(self, role: str, *statements: str) -> None:
        """Execute statements in one transaction as a service's role."""
        connection = await asyncpg.connect(self.database.settings(role).postgres_dsn)
        try:
            async with connection.transaction():
                for statement in statements:
                    await connection.execute(statement)
        finally:
            await connection.close()
