"""What can be done with documents and voice samples once they are there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from alta_common.clock import utc_now
from alta_common.contracts.principal import Principal
from alta_common.db.engine import Sessions
from alta_common.storage import ObjectStorage
from alta_projects.application.access import enter, require
from alta_projects.application.audit import ProjectAudit
from alta_projects.models.access import Right
from alta_projects.models.media_item import MediaItem
from alta_projects.repositories.changes import ChangeAnnouncer, ChangeFeed
from alta_projects.repositories.items import ItemFilter, ItemRepository
from alta_projects.repositories.objects import UnclaimedObjectRepository
from alta_projects.repositories.pages import Slice

Item = TypeVar("Item", bound=MediaItem)

# Steps of progress that follow each other closely are one piece of news; a change of status is told at once.
_SETTLE = timedelta(milliseconds=500)
_RENDERED_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A finished item's canonical result: JSON in object storage, as the engines' service wrote it."""

    item: MediaItem
    storage: ObjectStorage
    key: str
    turns: asyncio.Semaphore

    def stream(self) -> AsyncIterator[bytes]:
        """Yield the canonical JSON."""
        return self.storage.open(self.key)

    async def rendered(self, render: Callable[[bytes], str]) -> str:
        """Return what `render` makes of the canonical JSON."""
        # A book in objects takes hundreds of megabytes: read by many at once, it takes them once after the other.
        async with self.turns:
            canonical = await self.storage.read(self.key)
            return await asyncio.to_thread(render, canonical)


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
        look_again: timedelta,
    ) -> None:
        self._sessions = sessions
        self._storage = storage
        self._audit = audit
        self._changes = changes
        self._feed = feed
        self._look_again = look_again
        self._turns = asyncio.Semaphore(_RENDERED_AT_ONCE)

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

    async def result(self, caller: Principal, kind: type[Item], item_id: UUID) -> StoredResult:
        """Return a finished item's result. Raises `ResultNotReadyError` or `ProcessingFailedError`."""
        item = await self.get(caller, kind, item_id)
        return StoredResult(item, self._storage, item.require_result(), self._turns)

    def content(self, item: MediaItem, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield an item's original bytes from `start` up to, not including, `end`."""
        return self._storage.open(item.object_key, start, end)

    async def delete(self, caller: Principal, kind: type[Item], item_id: UUID) -> None:
        """Take an item away; the sweep removes its objects. Managers may take any, contributors their own."""
        async with self._sessions.begin() as session:
            items = ItemRepository(session, kind)
            seen = await items.get_seen(item_id, caller.user_id, hold=True)
            require(seen.role, Right.UPLOAD)
            if seen.item.created_by != caller.user_id:
                require(seen.role, Right.MANAGE)
            await items.remove(seen.item)
            await UnclaimedObjectRepository(session).condemn(seen.item.object_keys(), utc_now())
            await self._audit.note(
                session,
                f"{seen.item.kind}.deleted",
                seen.item.project_id,
                actor_id=caller.user_id,
                subject=(seen.item.kind, item_id),
                sha256=seen.item.sha256,
            )
        await self._changes.announce(item_id)
