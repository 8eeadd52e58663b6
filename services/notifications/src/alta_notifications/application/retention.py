"""Forgetting what need not be known any longer."""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from alta_common.clock import utc_now
from alta_common.db.alone import alone
from alta_common.db.engine import Sessions
from alta_common.errors import UnavailableError
from alta_notifications.repositories.deliveries import DeliveryRepository

log = structlog.get_logger()

_INTERVAL = timedelta(hours=6)
_LOCK = "notifications.retention"


class Retention:
    """Drops old deliveries, which are this service's inbox: an event older than they are kept would be mailed again.

    One replica does it; the others pass.
    """

    def __init__(self, sessions: Sessions, keep_for: timedelta) -> None:
        self._sessions = sessions
        self._keep_for = keep_for

    async def forget(self) -> None:
        """Drop deliveries that are older than they need to be."""
        async with alone(self._sessions, _LOCK) as session:
            if session is not None:
                await DeliveryRepository(session).forget(utc_now() - self._keep_for)

    async def run(self) -> None:
        """Do so again and again, until cancelled."""
        while True:
            try:
                await self.forget()
            except (SQLAlchemyError, UnavailableError) as error:
                log.warning("retention.postponed", error=repr(error))
            await asyncio.sleep(_INTERVAL.total_seconds())
