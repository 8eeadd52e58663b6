"""Object storage in memory: it works, and forgets everything."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

from alta_common.storage.object_storage import CHUNK_BYTES, ObjectNotFoundError, StoredObject, checked_key


class MemoryObjectStorage:
    """Keeps objects in `objects` and their content types in `content_types`."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.content_types: dict[str, str] = {}

    async def put(self, key: str, chunks: AsyncIterator[bytes], content_type: str) -> StoredObject:
        """Store what `chunks` yields."""
        return await self.put_bytes(key, b"".join([chunk async for chunk in chunks]), content_type)

    async def put_bytes(self, key: str, data: bytes, content_type: str) -> StoredObject:
        """Store `data`."""
        self.objects[checked_key(key)] = data
        self.content_types[key] = content_type
        return StoredObject(key, len(data), hashlib.sha256(data).hexdigest())

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to, not including, `end`."""
        data = (await self.read(key))[start:end]
        for offset in range(0, len(data), CHUNK_BYTES):
            yield data[offset : offset + CHUNK_BYTES]

    async def read(self, key: str) -> bytes:
        """Return the whole object."""
        try:
            return self.objects[checked_key(key)]
        except KeyError:
            raise ObjectNotFoundError(f"there is no object {key}") from None

    async def size(self, key: str) -> int:
        """Return the object's size in bytes."""
        return len(await self.read(key))

    async def delete(self, key: str) -> None:
        """Remove the object."""
        self.objects.pop(checked_key(key), None)
        self.content_types.pop(key, None)

    async def download_to(self, key: str, path: Path) -> None:
        """Write the object to `path`."""
        await asyncio.to_thread(path.write_bytes, await self.read(key))

    async def tidy(self) -> int:
        """Find nothing unfinished."""
        return 0

    async def check(self) -> None:
        """Be usable."""
