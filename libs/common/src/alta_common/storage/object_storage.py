"""Where files are kept. Keys are paths with `/`, made by us and never by a client."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from alta_common.errors import NotFoundError

CHUNK_BYTES = 256 * 1024

_KEY_CHARACTERS = 1000
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


class ObjectNotFoundError(NotFoundError):
    """There is no object with this key."""

    code = "object_not_found"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What was stored; `sha256` is in hex."""

    key: str
    size_bytes: int
    sha256: str


class ObjectStorage(Protocol):
    """Keeps whole objects: one is there completely or not at all, and a second `put` replaces the first."""

    async def put(self, key: str, chunks: AsyncIterator[bytes], content_type: str) -> StoredObject:
        """Store what `chunks` yields, in bounded memory. What they raise is raised, and nothing is stored then."""
        ...

    async def put_bytes(self, key: str, data: bytes, content_type: str) -> StoredObject:
        """Store `data`."""
        ...

    def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to, not including, `end`. Raises `ObjectNotFoundError` at the first step."""
        ...

    async def read(self, key: str) -> bytes:
        """Return the whole object. Raises `ObjectNotFoundError`."""
        ...

    async def size(self, key: str) -> int:
        """Return the object's size in bytes. Raises `ObjectNotFoundError`."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the object; a missing one is fine."""
        ...

    async def download_to(self, key: str, path: Path) -> None:
        """Write the object to the file `path`. Raises `ObjectNotFoundError`."""
        ...

    async def tidy(self) -> int:
        """Remove what writers that were killed left unfinished, more than a day ago; return how many pieces."""
        ...

    async def check(self) -> None:
        """Raise `UnavailableError` when the storage cannot be used (for readiness)."""
        ...


def checked_key(key: str) -> str:
    """Return `key` when each of its parts is a plain name. Raises `ValueError` otherwise: `..`, `/x`, `a//b`, `.x`."""
    if not key or len(key) > _KEY_CHARACTERS or not all(_SEGMENT.fullmatch(part) for part in key.split("/")):
        raise ValueError(f"{key!r} is no object key")
    return key
