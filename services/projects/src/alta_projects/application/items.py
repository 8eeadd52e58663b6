"""What can be done with documents and voice samples once they are there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from alta_common.contracts.principal import Principal
from alta_common.db.engine import Sessions
from alta_common.storage import ObjectStorage
from alta_projects.application.access import enter, require_hold_over
from alta_projects.application.audit import ProjectAudit
from alta_projects.application.cancellations import Cancellations
from alta_projects.application.removal import remove_items
from alta_projects.models.access import Right
from alta_projects.models.media_item import MediaItem
from alta_projects.repositories.changes import ChangeAnnouncer, ChangeFeed
from alta_projects.repositories.items import ItemFilter, ItemRepository
from alta_projects.repositories.pages import Slice

Item = TypeVar("Item", bound=MediaItem)

# Steps of progress that follow each other closely are one piece of news; a change of status is told at once.
_SETTLE = timedelta(milliseconds=500)


class ItemService:
    """Use cases around items. `look_again` is how often one who waits looks without having been told of a change."""

    def __init__(
        self,
        sessions: Sessions,
        storage: ObjectStorage,
        *,
        audit: ProjectAudit,
        changes: ChangeAnnouncer,
        feed: ChangeFeed,
        cancellations: Cancellations,
        look_again: timedelta,
    ) -> None:
        self._sessions = sessions
        self._storage = storage
        self._audit = audit
        self._changes = changes
        self._feed = feed
        self._cancellations = cancellations
        self._look_again = look_again

    async def list_items(
        self,
        caller: Principal,
        kind: type[Item],
        project_id: UUID,
        wanted: ItemFilter,
        *,
        after: UUID | None,
        limit: int,
    ) -> Slice[Item]:
        """Return items of a project, newest first."""
        async with self._sessions() as session:
            await enter(session, project_id, caller, Right.READ)
            return await ItemRepository(session, kind).list_items(project_id, wanted, after=after, limit=limit)

    async def get(self, caller: Principal, kind: type[Item], item_id: UUID) -> Item:
        """Return an item."""
        async with self._sessions() as session:
            return (await ItemRepository(session, kind).get_seen(item_id, caller.user_id)).item

    async def wait_for_news(
        self,
        caller: Principal,
        kind: type[Item],
        item_id: UUID,
        patience: timedelta,
        is_known: Callable[[Item], bool] | None = None,
    ) -> Item:
        """Return an item as soon as its status or progress changes, and as it is when `patience` is over.

        What is final is returned at once; so is what the caller does not have yet, when `is_known` says what they have.
        No connection is held while waiting.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        deadline = begun + patience.total_seconds()
        with self._feed.watch(item_id) as changed:
            first = item = await self.get(caller, kind, item_id)
            if is_known is not None and not is_known(first):
                return first
            while not item.status.is_final and item.status is first.status and not self._feed.is_draining:
                settled = begun + _SETTLE.total_seconds()
                until = deadline if item.version == first.version else min(deadline, settled)
                left = until - loop.time()
                if left <= 0:
                    break
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, self._look_again.total_seconds())):
                        await changed.wait()
                changed.clear()
                item = await self.get(caller, kind, item_id)
        return item

    def content(self, item: MediaItem, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield an item's original bytes from `start` up to, not including, `end`."""
        return self._storage.open(item.object_key, start, end)

    async def delete(self, caller: Principal, kind: type[Item], item_id: UUID) -> None:
        """Take an item away; the sweep removes its objects. Managers may take any, contributors their own."""
        async with self._sessions.begin() as session:
            items = ItemRepository(session, kind)
            seen = await items.get_seen(item_id, caller.user_id, hold=True)
            require_hold_over(seen, caller)
            running = [] if seen.item.status.is_final else [seen.item]
            await self._cancellations.add(session, running, "deleted")
            await remove_items(session, [seen.item])
            await self._audit.note(
                session,
                f"{seen.item.kind}.deleted",
                seen.item.project_id,
                actor_id=caller.user_id,
                subject=(seen.item.kind, item_id),
                sha256=seen.item.sha256,
            )
        await self._cancellations.mark(running)
        await self._changes.announce(item_id, seen.item.project_id)
