"""Regular tidying: objects that belong to nothing, deleted projects, what is remembered for a while only."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.clock import utc_now
from alta_common.db.alone import alone
from alta_common.db.engine import Sessions
from alta_common.http.idempotency import IdempotencyKeys
from alta_common.inbox import Inbox
from alta_common.storage import ObjectStorage
from alta_projects.application.cancellations import Cancellations
from alta_projects.application.metrics import objects_swept
from alta_projects.application.removal import remove_items
from alta_projects.models.media_item import MediaItem
from alta_projects.repositories.items import ItemRepository
from alta_projects.repositories.live import LiveEventRepository
from alta_projects.repositories.objects import UnclaimedObjectRepository
from alta_projects.repositories.projects import ProjectRepository

log = structlog.get_logger()

_BATCH = 100
_LOCK = "projects.sweep"
# An upload that was just being recorded when its project was deleted is purged with the rest.
_PURGE_AFTER = timedelta(minutes=1)
# Who was away for longer reads the project again.
_LIVE_MEMORY = timedelta(hours=24)


class Sweeper:
    """Tidies up in small transactions. Each holds an advisory lock, so one replica works and the others pass."""

    def __init__(
        self,
        sessions: Sessions,
        storage: ObjectStorage,
        *,
        keys: IdempotencyKeys,
        inbox: Inbox,
        inbox_memory: timedelta,
        cancellations: Cancellations,
    ) -> None:
        self._sessions = sessions
        self._storage = storage
        self._keys = keys
        self._inbox = inbox
        self._inbox_memory = inbox_memory
        self._cancellations = cancellations

    async def sweep(self) -> None:
        """Do all there is to do now. Raises what the database or the store raise; the next sweep goes on from there."""
        for step in (self._purge_projects, self._remove_objects, self._forget):
            while await self._alone(step):
                pass
        if abandoned := await self._storage.tidy():
            log.info("uploads.abandoned_removed", count=abandoned)

    async def _alone(self, step: Callable[[AsyncSession], Awaitable[bool]]) -> bool:
        """Do one step; return whether there may be more of it."""
        async with alone(self._sessions, _LOCK) as session:
            return session is not None and await step(session)

    async def _purge_projects(self, session: AsyncSession) -> bool:
        """Take a batch of items out of a deleted project, and the project itself when it is empty."""
        projects, items = ProjectRepository(session), ItemRepository(session, MediaItem)
        for project in await projects.list_deleted(utc_now() - _PURGE_AFTER, limit=1):
            batch = await items.lock_some(project.id, limit=_BATCH)
            # Those that have been uploaded while the project was being deleted; all others were cancelled before.
            running = [item for item in batch if not item.status.is_final]
            await self._cancellations.add(session, running, "deleted")
            await remove_items(session, batch)
            await self._cancellations.mark(running)
            if batch:
                return True
            # What somebody else is changing just now waits for the next sweep, and its project with it: to wait here,
            # with the project locked, would be to wait for who waits for the project.
            if not await items.are_in(project.id):
                await projects.remove(project)
                log.info("project.purged", project_id=str(project.id))
                return True
        return False

    async def _remove_objects(self, session: AsyncSession) -> bool:
        """Remove a batch of objects whose time is over. An upload that would claim one of them waits, and is told."""
        objects = UnclaimedObjectRepository(session)
        keys = await objects.lock_due(utc_now(), limit=_BATCH)
        for key in keys:
            await self._storage.delete(key)
        await objects.forget(keys)
        if keys:
            objects_swept.inc(len(keys))
            log.info("objects.swept", count=len(keys))
        return len(keys) == _BATCH

    async def _forget(self, session: AsyncSession) -> bool:
        await self._keys.sweep(session)
        await self._inbox.forget(session, utc_now() - self._inbox_memory)
        await LiveEventRepository(session).forget(utc_now() - _LIVE_MEMORY)
        return False
