"""Calling runs off: what the engines hear, and what they find."""

import asyncio
from collections.abc import Iterable, Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.clock import utc_now
from alta_common.contracts.projects import CancelReason
from alta_common.contracts.results import cancellation_key
from alta_common.outbox import Outbox
from alta_common.storage import ObjectStorage
from alta_projects.application.metrics import runs_called_off
from alta_projects.models.media_item import MediaItem
from alta_projects.models.reading import MAX_DEADLINE
from alta_projects.repositories.objects import UnclaimedObjectRepository

log = structlog.get_logger()

# By then no request of the run is waiting anywhere: it is past its deadline.
_MARKED_FOR = MAX_DEADLINE
_MARKED_AT_ONCE = 16


class Cancellations:
    """Tells the engines to leave runs.

    The event stops who is at work. The marker, an empty object, stops who takes the request out of its queue later.
    `mark` comes after the commit: a crash between the two costs work that nobody wants, and its result is thrown away.
    The other way round it would leave an item that waits for a result which never comes.
    """

    def __init__(self, storage: ObjectStorage, outbox: Outbox) -> None:
        self._storage = storage
        self._outbox = outbox

    async def add(self, session: AsyncSession, items: Sequence[MediaItem], reason: CancelReason) -> None:
        """Say in this transaction that the present runs of `items`, whose rows are locked, are not wanted any more."""
        await self._outbox.add(session, *(item.cancellation(reason) for item in items))
        await self.expect_marks(session, items)
        for item in items:
            runs_called_off.labels(item.kind, reason).inc()

    async def expect_marks(self, session: AsyncSession, items: Sequence[MediaItem]) -> None:
        """Have the sweep remove the markers of `items` one day. `add` does it; who writes them once more does again."""
        await UnclaimedObjectRepository(session).condemn(markers_of(items), utc_now() + _MARKED_FOR)

    async def mark(self, items: Iterable[MediaItem]) -> None:
        """Write the markers, after the commit. Never fails: what cannot be written now costs work, and no more."""
        turns = asyncio.Semaphore(_MARKED_AT_ONCE)

        async def write(key: str) -> None:
            async with turns:
                try:
                    await self._storage.put_bytes(key, b"", "application/octet-stream")
                except Exception as error:  # noqa: BLE001  the run is cancelled whether or not the store is there
                    log.warning("cancellation.not_marked", object_key=key, error=repr(error))

        async with asyncio.TaskGroup() as group:
            for key in markers_of(items):
                group.create_task(write(key))


def markers_of(items: Iterable[MediaItem]) -> list[str]:
    """Return the keys of the markers of the items' present runs."""
    return [cancellation_key(item.id, item.attempt) for item in items]
