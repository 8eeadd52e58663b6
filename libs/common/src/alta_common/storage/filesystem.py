"""Object storage in a local folder: the embedded default."""

import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import IO

from alta_common.errors import UnavailableError
from alta_common.storage.object_storage import CHUNK_BYTES, ObjectNotFoundError, StoredObject, checked_key

_INCOMING = ".incoming"
# Longer than any upload may pause.
_ABANDONED_AFTER = timedelta(days=1)
_RENAME_ATTEMPTS = 10


class FilesystemObjectStorage:
    """Keeps each object as a file below `root`. Processes of one machine may share the folder.

    An object is written to a temporary file, forced to disk and renamed: a reader sees the old or the new one, and
    after a crash there is a whole object or none. Disk work happens in threads.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    async def put(self, key: str, chunks: AsyncIterator[bytes], content_type: str) -> StoredObject:  # noqa: ARG002 - as agreed
        """Store what `chunks` yields. The content type is not kept: rows of the database know it."""
        path = self._path(key)
        file = await asyncio.to_thread(self._open_temporary)
        digest, size = hashlib.sha256(), 0
        try:
            async for chunk in chunks:
                await asyncio.to_thread(_write, file, digest, chunk)
                size += len(chunk)
            await asyncio.to_thread(_publish, file, path)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(_discard, file))
            raise
        return StoredObject(key, size, digest.hexdigest())

    async def put_bytes(self, key: str, data: bytes, content_type: str) -> StoredObject:
        """Store `data`."""
        return await self.put(key, _once(data), content_type)

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to, not including, `end`."""
        file = await asyncio.to_thread(_open_at, self._path(key), key, start)
        try:
            left = None if end is None else max(0, end - start)
            while left is None or left > 0:
                wanted = CHUNK_BYTES if left is None else min(CHUNK_BYTES, left)
                chunk = await asyncio.to_thread(file.read, wanted)
                if not chunk:
                    break
                left = None if left is None else left - len(chunk)
                yield chunk
        finally:
            file.close()

    async def read(self, key: str) -> bytes:
        """Return the whole object."""
        path = self._path(key)
        try:
            return await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            raise _missing(key) from None

    async def size(self, key: str) -> int:
        """Return the object's size in bytes."""
        path = self._path(key)
        try:
            return (await asyncio.to_thread(path.stat)).st_size
        except FileNotFoundError:
            raise _missing(key) from None

    async def delete(self, key: str) -> None:
        """Remove the object, and the folders that it leaves empty."""
        await asyncio.to_thread(self._remove, self._path(key))

    async def download_to(self, key: str, path: Path) -> None:
        """Copy the object to `path`."""
        await asyncio.to_thread(_copy, self._path(key), key, path)

    async def tidy(self) -> int:
        """Remove temporary files that nobody has written to for a day: their writers were killed."""
        return await asyncio.to_thread(self._remove_abandoned, time.time() - _ABANDONED_AFTER.total_seconds())

    async def check(self) -> None:
        """Raise `UnavailableError` when the folder cannot be written."""
        try:
            file = await asyncio.to_thread(self._open_temporary)
            await asyncio.to_thread(_discard, file)
        except OSError as error:
            raise UnavailableError(f"the storage folder cannot be written: {error}") from error

    def _path(self, key: str) -> Path:
        return self._root.joinpath(*checked_key(key).split("/"))

    def _open_temporary(self) -> IO[bytes]:
        # Of the same file system, so that the rename is one; no key can name it, for none begins with a dot.
        folder = self._root / _INCOMING
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.NamedTemporaryFile(dir=folder, delete=False)

    def _remove_abandoned(self, before: float) -> int:
        removed = 0
        for path in self._root.joinpath(_INCOMING).glob("*"):
            # Another replica may be tidying up as well.
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()
                    removed += 1
        return removed

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        with suppress(OSError):
            for folder in path.parents:
                if folder == self._root:
                    break
                folder.rmdir()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _missing(key: str) -> ObjectNotFoundError:
    return ObjectNotFoundError(f"there is no object {key}")


def _write(file: IO[bytes], digest: "hashlib._Hash", chunk: bytes) -> None:
    digest.update(chunk)
    file.write(chunk)


def _publish(file: IO[bytes], path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    # A delete beside us may remove the folder that we have just made, because it is still empty.
    for _ in range(_RENAME_ATTEMPTS):
        with suppress(FileNotFoundError, FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
            Path(file.name).replace(path)
            break
    else:
        raise UnavailableError(f"{path} cannot be created")
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _discard(file: IO[bytes]) -> None:
    file.close()
    Path(file.name).unlink(missing_ok=True)


def _open_at(path: Path, key: str, start: int) -> IO[bytes]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise _missing(key) from None
    file.seek(start)
    return file


def _copy(source: Path, key: str, target: Path) -> None:
    with _open_at(source, key, 0) as original, target.open("wb") as copy:
        while chunk := original.read(CHUNK_BYTES):
            copy.write(chunk)
