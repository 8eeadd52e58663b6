"""Reading results: the last one of an item, or any that it has had."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import orjson

from alta_common.contracts.principal import Principal
from alta_common.db.engine import Sessions
from alta_common.storage import ObjectStorage
from alta_projects.application.streams import read_head
from alta_projects.models.media_item import MediaItem
from alta_projects.models.result_revision import ResultRevision
from alta_projects.repositories.items import ItemRepository
from alta_projects.repositories.revisions import RevisionRepository

Item = TypeVar("Item", bound=MediaItem)

_RENDERED_AT_ONCE = 2

# As the engines' services write it: the number is the second field.
_NUMBER = re.compile(rb'\{"(?:document_id|voice_sample_id)":"[0-9a-f-]{36}","revision":([0-9]{1,9})(?=[,}])')
_NUMBER_WITHIN = 128


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result of an item: JSON in object storage, as the engines' service wrote it but for the revision's number.

    An engine does not know how often a file has been read before: the number is put in on the way out.
    """

    item: MediaItem
    revision: int
    sha256: str
    storage: ObjectStorage
    key: str
    turns: asyncio.Semaphore

    def stream(self) -> AsyncIterator[bytes]:
        """Yield the canonical JSON."""
        return numbered(self.storage.open(self.key), self.revision)

    async def rendered(self, render: Callable[[bytes], str]) -> str:
        """Return what `render` makes of the canonical JSON."""
        # A book in objects takes hundreds of megabytes: read by many at once, it takes them once after the other.
        async with self.turns:
            stored = await self.storage.read(self.key)
            return await asyncio.to_thread(lambda: render(with_number(stored, self.revision)))


class ResultReader:
    """Use cases around the results of items."""

    def __init__(self, sessions: Sessions, storage: ObjectStorage) -> None:
        self._sessions = sessions
        self._storage = storage
        self._turns = asyncio.Semaphore(_RENDERED_AT_ONCE)

    async def result(
        self, caller: Principal, kind: type[Item], item_id: UUID, revision: int | None = None
    ) -> StoredResult:
        """Return an item's last result, or the one of that number.

        Raises `RevisionNotFoundError`; without a number what `MediaItem.require_result` raises.
        """
        async with self._sessions() as session:
            item = (await ItemRepository(session, kind).get_seen(item_id, caller.user_id)).item
            if revision is None:
                # The item's own row points at the last one.
                return self._stored(item, item.revision, item.require_result(), item.result_sha256 or "")
            found = await RevisionRepository(session).get(item.id, revision)
        return self._stored(item, found.revision, found.result_key, found.result_sha256)

    async def list_revisions(
        self, caller: Principal, kind: type[Item], item_id: UUID, *, before: int | None, limit: int
    ) -> Sequence[ResultRevision]:
        """Return up to `limit` results of an item, the newest first, from below the number `before`."""
        async with self._sessions() as session:
            item = (await ItemRepository(session, kind).get_seen(item_id, caller.user_id)).item
            return await RevisionRepository(session).list_revisions(item.id, before=before, limit=limit)

    def _stored(self, item: MediaItem, revision: int, key: str, sha256: str) -> StoredResult:
        return StoredResult(item, revision, sha256, self._storage, key, self._turns)


async def numbered(chunks: AsyncIterator[bytes], number: int) -> AsyncIterator[bytes]:
    """Yield a canonical result with `number` as its revision."""
    head = await read_head(chunks, _NUMBER_WITHIN)
    if _NUMBER.match(head) is None:
        # Written by another hand: then it takes reading all of it.
        whole = head + b"".join([chunk async for chunk in chunks])
        yield await asyncio.to_thread(with_number, whole, number)
        return
    yield with_number(head, number)
    async for chunk in chunks:
        yield chunk


def with_number(canonical: bytes, number: int) -> bytes:
    """Return a canonical result, or the beginning of one, with `number` as its revision."""
    found = _NUMBER.match(canonical[:_NUMBER_WITHIN])
    if found is None:
        return orjson.dumps(orjson.loads(canonical) | {"revision": number})
    if int(found[1]) == number:
        return canonical
    return canonical[: found.start(1)] + str(number).encode() + canonical[found.end(1) :]
