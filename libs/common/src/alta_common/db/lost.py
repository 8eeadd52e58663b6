"""PostgreSQL that is not there, or goes away: one kind of error for callers, a list of errors for listeners."""

import asyncpg
from sqlalchemy import event, exc
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection

from alta_common.errors import UnavailableError

CONNECTION_ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises on a connection of one's own that fails or ends.

`InternalClientError` ("cannot switch to state…") is among them: it is what the driver says when the server dies while
an answer is being read and something else is asked at that moment.
"""

_NOT_THERE = (
    OSError,
    TimeoutError,
    exc.TimeoutError,
    exc.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class DatabaseUnavailableError(UnavailableError):
    """PostgreSQL does not answer, or went away in the middle; what was being committed may or may not be."""

    code = "database_unavailable"


class PatientPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool; a connection that cannot be had is a `DatabaseUnavailableError`."""

    def connect(self) -> PoolProxiedConnection:
        """Return a connection that answers."""
        try:
            return super().connect()
        except _NOT_THERE as error:
            raise DatabaseUnavailableError("The database does not answer.") from error


def name_lost_connections(engine: AsyncEngine) -> None:
    """Have a connection that ends while it is used raise `DatabaseUnavailableError`."""
    event.listen(engine.sync_engine, "handle_error", _on_error)


def _on_error(context: ExceptionContext) -> None:
    original = context.original_exception
    if not isinstance(original, Exception):
        # A cancelled task gives its connection up, which SQLAlchemy calls a disconnect; it must stay cancelled.
        return
    # The dialect hides the driver's errors behind its own: only the cause tells "starting up" and "shutting down".
    is_lost = context.is_disconnect or isinstance(original.__cause__, _NOT_THERE)
    if is_lost and not context.is_pre_ping:
        raise DatabaseUnavailableError("The database does not answer, or the connection to it was lost.") from original
