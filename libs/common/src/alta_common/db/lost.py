"""PostgreSQL that is not there, or goes away: one kind of error for callers, a list of errors for listeners."""

import select
import time

import asyncpg
from sqlalchemy import event, exc
from sqlalchemy.engine import Dialect, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, PoolProxiedConnection

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


_RETURNED_AT = "alta_returned_at"
_TRUSTED_SECONDS = 1.0


class PatientPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool; a connection that cannot be had is a `DatabaseUnavailableError`.

    Used with `give_out_living_connections`.
    """

    def connect(self) -> PoolProxiedConnection:
        """Return a connection that answers."""
        try:
            return super().connect()
        except _NOT_THERE as error:
            raise DatabaseUnavailableError("The database does not answer.") from error


def give_out_living_connections(engine: AsyncEngine) -> None:
    """Have the pool give out no connection that has ended, and ask those that nobody has used for a second.

    SQLAlchemy's own `pool_pre_ping` asks each time, and in a transaction of its own: three round trips, a quarter of
    what a short transaction costs. A server that ends a connection says so: the driver has heard it, or it waits to be
    read. Only one that vanished without a word is found by asking.
    """
    dialect, pool = engine.dialect, engine.sync_engine.pool

    @event.listens_for(pool, "checkin")
    def _returned(_connection: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        entry.info[_RETURNED_AT] = time.monotonic()

    @event.listens_for(pool, "checkout")
    def _given_out(connection: DBAPIConnection, entry: ConnectionPoolEntry, _: PoolProxiedConnection) -> None:
        returned_at = entry.info.get(_RETURNED_AT)
        driver_connection = entry.driver_connection
        if returned_at is None or driver_connection is None:
            return
        is_trusted = time.monotonic() - returned_at < _TRUSTED_SECONDS and not _has_unread(driver_connection)
        if driver_connection.is_closed() or not (is_trusted or _answers(dialect, connection)):
            # The others are most likely gone too: the pool makes new ones.
            raise exc.InvalidatePoolError


def _has_unread(connection: DBAPIConnection) -> bool:
    """Tell whether the server has sent what the event loop has not read: most likely the end of the connection."""
    transport = connection._transport  # noqa: SLF001 - asyncpg hands it to nobody
    descriptor = -1 if transport.is_closing() else transport.get_extra_info("socket").fileno()
    if descriptor < 0:
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _answers(dialect: Dialect, connection: DBAPIConnection) -> bool:
    try:
        return dialect.do_ping(connection)
    except (dialect.loaded_dbapi.Error, *CONNECTION_ERRORS):
        return False


def name_lost_connections(engine: AsyncEngine) -> None:
    """Have a connection that ends while it is used raise `DatabaseUnavailableError`."""
    event.listen(engine.sync_engine, "handle_error", _on_error)


def _on_error(context: ExceptionContext) -> None:
    original = context.original_exception
    if not isinstance(original, Exception):
        # A cancelled task gives its connection up, which SQLAlchemy calls a disconnect; it must stay cancelled.
        return
    # The dialect hides the driver's errors behind its own: only the cause tells "starting up" and "shutting down".
    if context.is_disconnect or isinstance(original.__cause__, _NOT_THERE):
        raise DatabaseUnavailableError("The database does not answer, or the connection to it was lost.") from original
