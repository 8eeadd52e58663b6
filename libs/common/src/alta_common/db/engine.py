"""The connection to PostgreSQL."""

from typing import TypeAlias

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from alta_common.db.lost import PatientPool, give_out_living_connections, name_lost_connections
from alta_common.settings import PostgresSettings

Sessions: TypeAlias = async_sessionmaker[AsyncSession]

_CONNECT_SECONDS = 5
_STATEMENT_SECONDS = 60


def create_engine(settings: PostgresSettings, *, application_name: str) -> AsyncEngine:
    """Return an engine with a pool of `postgres_pool_size` connections; it connects when first used.

    No connection is used that has ended, so a restarted server costs a reconnect and not a failed request. While
    there is no server, and when one goes away in the middle, what is asked raises `DatabaseUnavailableError`.
    """
    engine = create_async_engine(
        settings.postgres_url,
        poolclass=PatientPool,
        pool_size=settings.postgres_pool_size,
        max_overflow=0,
        pool_timeout=settings.postgres_pool_timeout_seconds,
        # The most recently used connection first: idle ones stay idle and the server can forget about them.
        pool_use_lifo=True,
        connect_args={
            "timeout": _CONNECT_SECONDS,
            "command_timeout": _STATEMENT_SECONDS,
            "server_settings": {
                "application_name": application_name,
                # Compiling a plan costs more than our short queries take.
                "jit": "off",
                # A transaction that somebody forgot would hold its locks, and with them the outbox, for ever.
                "idle_in_transaction_session_timeout": "60000",
            },
        },
    )
    give_out_living_connections(engine)
    name_lost_connections(engine)
    return engine


def create_sessions(engine: AsyncEngine) -> Sessions:
    """Return the maker of sessions: `async with sessions.begin() as session:` is a transaction."""
    return async_sessionmaker(engine, expire_on_commit=False)


async def check_database(engine: AsyncEngine) -> None:
    """Ask the database a question. Raises what the driver raises when no answer comes."""
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
