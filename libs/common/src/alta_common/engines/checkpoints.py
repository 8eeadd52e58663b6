"""What an engine has done of a long work, kept so that nobody begins it again from nothing.

Work is stopped in the middle by a killed process, by SIGTERM, or because its slice of time is over; the next delivery
of the same request begins from `load`.
"""

import asyncio
from contextlib import suppress
from typing import Protocol
from uuid import UUID

import orjson
import structlog

from alta_common.errors import NotFoundError
from alta_common.storage.object_storage import ObjectStorage

log = structlog.get_logger()


class Checkpoint(Protocol):
    """Keeps parts of one engine's work on one request.

    Names are plain (letters, digits, `-`, `_`, `.`; 60 characters at most) and of the engine's choice: they should
    tell parts of another configuration apart, for an upgrade may lie between two deliveries.
    """

    async def load(self) -> dict[str, bytes]:
        """Return the parts that were kept, by name. Raises `UnavailableError`."""
        ...

    async def save(self, name: str, content: bytes) -> None:
        """Keep a part; one of the same name is replaced. What cannot be kept is done again, and is no error."""
        ...


class NoCheckpoint:
    """Keeps nothing."""

    async def load(self) -> dict[str, bytes]:
        """Return nothing."""
        return {}

    async def save(self, name: str, content: bytes) -> None:
        """Keep nothing."""


class StoredCheckpoint:
    """Keeps parts in object storage, beside the result to come.

    An index object says which parts there are, because object storage is not listed. It names a part before that is
    there: a crash between the two leaves nothing that `clear` would not find.
    """

    def __init__(self, storage: ObjectStorage, item_id: UUID, request_event_id: UUID) -> None:
        self._storage = storage
        self._prefix = f"results/{item_id}/{request_event_id}"
        # Pages are read in parallel: two that are saved at once must not write an index without each other.
        self._indexing = asyncio.Lock()

    def of(self, engine: str) -> Checkpoint:
        """Return the checkpoint of one engine: a fallback must not go on from what another has begun."""
        return _EngineCheckpoint(self, f"{engine}-")

    async def load(self, prefix: str = "") -> dict[str, bytes]:
        """Return the parts whose name begins with `prefix`, all of them by default."""
        parts: dict[str, bytes] = {}
        for name in await self._names():
            if name.startswith(prefix):
                with suppress(NotFoundError):
                    parts[name] = await self._storage.read(self._key(name))
        return parts

    async def save(self, name: str, content: bytes) -> None:
        """Keep a part."""
        try:
            async with self._indexing:
                names = await self._names()
                if name not in names:
                    await self._storage.put_bytes(self._index_key, orjson.dumps([*names, name]), "application/json")
            await self._storage.put_bytes(self._key(name), content, "application/octet-stream")
        except Exception as error:  # noqa: BLE001  # whatever keeps it from being kept, the work goes on
            log.warning("checkpoint.not_saved", key=self._key(name), error=repr(error))

    async def clear(self) -> None:
        """Remove everything that was kept. Raises `UnavailableError`; doing it again is fine."""
        for name in await self._names():
            await self._storage.delete(self._key(name))
        # Last: it is what knows the others.
        await self._storage.delete(self._index_key)

    async def _names(self) -> list[str]:
        try:
            names = orjson.loads(await self._storage.read(self._index_key))
        except (NotFoundError, ValueError):
            return []
        return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []

    @property
    def _index_key(self) -> str:
        return f"{self._prefix}.parts"

    def _key(self, name: str) -> str:
        return f"{self._prefix}.part-{name}"


class _EngineCheckpoint:
    def __init__(self, whole: StoredCheckpoint, prefix: str) -> None:
        self._whole = whole
        self._prefix = prefix

    async def load(self) -> dict[str, bytes]:
        parts = await self._whole.load(self._prefix)
        return {name.removeprefix(self._prefix): part for name, part in parts.items()}

    async def save(self, name: str, content: bytes) -> None:
        await self._whole.save(self._prefix + name, content)
