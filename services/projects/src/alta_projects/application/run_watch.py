"""Regular looking after runs that will not end by themselves: those past their deadline, and of deleted projects."""

from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.clock import utc_now
from alta_common.contracts.projects import CancelReason
from alta_common.db.alone import alone
from alta_common.db.engine import Sessions
from alta_projects.application.audit import ProjectAudit
from alta_projects.application.cancellations import Cancellations
from alta_projects.models.media_item import MediaItem
from alta_projects.repositories.changes import ChangeAnnouncer
from alta_projects.repositories.runs import RunRepository

log = structlog.get_logger()

# The engines end a run at its deadline themselves and say so; this is for those of which nothing is heard.
GRACE = timedelta(minutes=15)

_BATCH = 100
_LOCK = "projects.runs"


class RunWatch:
    """Ends runs in small transactions. Each holds an advisory lock, so one replica works and the others pass."""

    def __init__(
        self, sessions: Sessions, audit: ProjectAudit, changes: ChangeAnnouncer, cancellations: Cancellations
    ) -> None:
        self._sessions = sessions
        self._audit = audit
        self._changes = changes
        self._cancellations = cancellations

    async def look(self) -> None:
        """End all there is to end now. Raises what the database raises; the next look goes on from there."""
        while await self._fail_overdue() or await self._cancel_deleted():
            pass

    async def _fail_overdue(self) -> bool:
        """Fail a batch of items that are past their deadline; return whether there may be more of them."""
        async with alone(self._sessions, _LOCK) as session:
            if session is None:
                return False
            items = await RunRepository(session).lock_overdue(utc_now() - GRACE, limit=_BATCH)
            for item in items:
                item.run_out_of_time()
            await self._cancellations.add(session, items, "deadline")
            await self._note(session, items)
        await self._finish(items, "deadline")
        return len(items) == _BATCH

    async def _cancel_deleted(self) -> bool:
        """Cancel a batch of runs of deleted projects; return whether there may be more of them."""
        async with alone(self._sessions, _LOCK) as session:
            if session is None:
                return False
            items = await RunRepository(session).lock_of_deleted_projects(limit=_BATCH)
            for item in items:
                item.cancel()
            await self._cancellations.add(session, items, "deleted")
        await self._finish(items, "deleted")
        return len(items) == _BATCH

    async def _note(self, session: AsyncSession, items: Sequence[MediaItem]) -> None:
        # In one order everywhere: each audit row locks the end of its project's chain.
        for item in sorted(items, key=lambda item: item.project_id):
            await self._audit.note(
                session,
                f"{item.kind}.failed",
                item.project_id,
                actor_id=None,
                subject=(item.kind, item.id),
                code=item.error_code,
                detail=item.error_detail,
                retryable=item.error_retryable,
            )

    async def _finish(self, items: Sequence[MediaItem], reason: CancelReason) -> None:
        await self._cancellations.mark(items)
        for item in items:
            await self._changes.announce(item.id, item.project_id)
        if items:
            log.warning("runs.called_off", count=len(items), reason=reason)
