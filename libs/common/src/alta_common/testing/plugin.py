"""Fixtures for every test of the checkout: real PostgreSQL, Redis and RabbitMQ, each test with its own part of them.

A service's conftest.py overrides `database` with its migrations applied:

    @pytest.fixture
    async def database(make_database: MakeDatabase) -> FreshDatabase:
        return await make_database([("projects", MIGRATIONS)])
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Protocol

import pytest
import structlog

from alta_common.testing.postgres import DatabaseMaker, FreshDatabase, Migrations
from alta_common.testing.rabbitmq import Management
from alta_common.testing.redis import empty_database
from alta_common.testing.servers import Servers, local_folder
from alta_common.testing.settings import ServerAddresses

CloseConnections = Callable[[], Awaitable[int]]


class MakeDatabase(Protocol):
    """Returns a fresh database with migrations applied; it goes with the test."""

    async def __call__(self, migrations: Migrations = ()) -> FreshDatabase:
        """Make one."""
        ...


@pytest.fixture(autouse=True)
def kept_logs() -> Iterator[None]:
    """Takes back what a test does to the logs of the process: a command that runs in it sets them up as its own."""
    root, hook = logging.getLogger(), sys.excepthook
    level, handlers = root.level, list(root.handlers)
    configured, config = structlog.is_configured(), structlog.get_config()
    yield
    structlog.reset_defaults()
    if configured:
        structlog.configure(**config)
    sys.excepthook = hook
    root.setLevel(level)
    # pytest's own handlers come and go with each phase of a test.
    ours = [one for one in root.handlers if type(one).__module__.startswith("alta_") and one not in handlers]
    root.handlers = [one for one in root.handlers if one not in ours]


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The servers of this session; each is started when it is first asked for."""
    servers = Servers(ServerAddresses(), local_folder())
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def postgres_dsn(servers: Servers) -> str:
    """The superuser's URL of the session's PostgreSQL."""
    return servers.postgres_dsn


@pytest.fixture(scope="session")
def database_maker(postgres_dsn: str) -> Iterator[DatabaseMaker]:
    """Keeps the session's templates."""
    maker = DatabaseMaker(postgres_dsn)
    yield maker
    asyncio.run(maker.close())


@pytest.fixture
async def make_database(database_maker: DatabaseMaker) -> AsyncIterator[MakeDatabase]:
    """Makes fresh databases for this test."""
    made: list[FreshDatabase] = []

    async def make(migrations: Migrations = ()) -> FreshDatabase:
        made.append(await database_maker.create(migrations))
        return made[-1]

    yield make
    for database in made:
        await database_maker.drop(database)


@pytest.fixture
async def database(make_database: MakeDatabase) -> FreshDatabase:
    """A fresh database with roles and empty schemas."""
    return await make_database()


@pytest.fixture
async def management(servers: Servers) -> AsyncIterator[Management]:
    """RabbitMQ's management API."""
    management = Management(servers.broker)
    yield management
    await management.aclose()


@pytest.fixture
async def rabbitmq_url(management: Management) -> AsyncIterator[str]:
    """The URL of a fresh, empty virtual host."""
    url = management.new_vhost_url()
    await management.create_vhost(url)
    yield url
    await management.delete_vhost(url)


@pytest.fixture
async def close_broker_connections(management: Management, rabbitmq_url: str) -> CloseConnections:
    """Force-closes every connection to the test's virtual host."""
    return lambda: management.close_connections(rabbitmq_url)


@pytest.fixture
async def redis_url(servers: Servers) -> str:
    """The URL of an empty Redis database."""
    return await empty_database(servers.redis_url)
