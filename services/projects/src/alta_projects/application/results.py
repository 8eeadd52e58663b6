"""What comes back from the engines."""

from datetime import timedelta
from typing import Any, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.clock import utc_now
from alta_common.db.engine import Sessions
from alta_common.inbox import Inbox
from alta_common.telemetry.metrics import exemplar, job_end_to_end
from alta_projects.application.audit import ProjectAudit
from alta_projects.models.media_item import Completed, Failed, MediaItem, Progressed
from alta_projects.models.result_revision import ResultRevision
from alta_projects.repositories.changes import ChangeAnnouncer
from alta_projects.repositories.items import ItemRepository
from alta_projects.repositories.objects import UnclaimedObjectRepository
from alta_projects.repositories.revisions import RevisionRepository

log = structlog.get_logger()

Item = TypeVar("Item", bound=MediaItem)

CONSUMER = "projects.results"

# A redelivered request may write the same object once more; it must be gone by then for good.
_UNWANTED_RESULT_GRACE = timedelta(hours=1)


class ResultService:
    """Takes in progress, results and failures: each once, in whatever order they arrive.

    The inbox row is written in the transaction of the effect. What comes too late (another attempt, a final state, a
    deleted item) has no effect; the rules are the item's own.
    """

    def __init__(self, sessions: Sessions, inbox: Inbox, audit: ProjectAudit, changes: ChangeAnnouncer) -> None:
        self._sessions = sessions
        self._inbox = inbox
        self._audit = audit
        self._changes = changes

    async def record_progress(self, kind: type[Item], event: Progressed) -> None:
        """Note a sign of life."""
        async with self._sessions.begin() as session:
            if not await self._inbox.first_time(session, event.event_id, CONSUMER):
                return
            item = await ItemRepository(session, kind).lock(event.aggregate_id)
            if item is None or not item.start(event):
                return
        await self._changes.announce(item.id, item.project_id)

    async def record_completion(self, kind: type[Item], event: Completed) -> None:
        """Note that an item has been read, and where its result lies."""
        async with self._sessions.begin() as session:
            if not await self._inbox.first_time(session, event.event_id, CONSUMER):
                return
            item = await ItemRepository(session, kind).lock(event.aggregate_id)
            if item is None or not item.complete(event):
                await self._drop_result(session, item, event)
                return
            await RevisionRepository(session).add(ResultRevision.of(item, event))
            await self._note(
                session, item, engine=event.engine_name, revision=item.revision, result_sha256=event.result_sha256
            )
        await self._tell(item)

    async def record_failure(self, kind: type[Item], event: Failed) -> None:
        """Note that an item cannot be read, and why."""
        async with self._sessions.begin() as session:
            if not await self._inbox.first_time(session, event.event_id, CONSUMER):
                return
            item = await ItemRepository(session, kind).lock(event.aggregate_id)
            if item is None or not item.fail(event):
                return
            await self._note(session, item, code=item.error_code, detail=item.error_detail, retryable=event.retryable)
        await self._tell(item)

    async def _drop_result(self, session: AsyncSession, item: MediaItem | None, event: Completed) -> None:
        """Let the sweep remove a result that nobody will ask for."""
        log.info("result.unwanted", item_id=str(event.aggregate_id), attempt=event.attempt, is_gone=item is None)
        # Of an earlier revision that is told once more, nothing is to be removed.
        if not await RevisionRepository(session).is_kept(event.aggregate_id, event.result_key):
            await UnclaimedObjectRepository(session).condemn([event.result_key], utc_now() + _UNWANTED_RESULT_GRACE)

    async def _note(self, session: AsyncSession, item: MediaItem, **details: Any) -> None:
        action = f"{item.kind}.{item.status.value}"
        subject = (item.kind, item.id)
        await session.flush()
        await self._audit.note(session, action, item.project_id, actor_id=None, subject=subject, **details)

    async def _tell(self, item: MediaItem) -> None:
        seconds = (item.updated_at - item.requested_at).total_seconds()
        job_end_to_end.labels(item.kind, item.status.value).observe(max(0.0, seconds), exemplar())
        log.info(
            "item.finished", item_id=str(item.id), kind=item.kind, status=item.status.value, seconds=round(seconds, 3)
        )
        await self._changes.announce(item.id, item.project_id)
