"""Objects as files on this machine's disk, for programs that need to jump about in them."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from alta_common.engines.folders import remove_abandoned, working_folder
from alta_common.ids import new_id
from alta_common.storage import ObjectStorage

_PREFIX = "alta-projects-"


@dataclass(slots=True)
class _Copy:
    path: Path
    holders: int = 0
    size: int | None = None
    """None until it has been downloaded."""
    downloading: asyncio.Lock = field(default_factory=asyncio.Lock)


class LocalCopies:
    """Keeps up to `most_bytes` of what was used last: who looks through a document asks for one page after the other.

    For objects that never change. Its folder is gone with the process, even with one that was killed.
    """

    def __init__(self, storage: ObjectStorage, most_bytes: int) -> None:
        self._storage = storage
        self._most_bytes = most_bytes
        self._copies: OrderedDict[str, _Copy] = OrderedDict()
        self._stack = ExitStack()
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """Return a folder for work in progress, made when it is first needed."""
        if self._folder is None:
            remove_abandoned(_PREFIX)
            self._folder = self._stack.enter_context(working_folder(_PREFIX))
        return self._folder

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[Path]:
        """Give a file with an object's content, for the time of the block. Raises `ObjectNotFoundError`."""
        copy = self._copies.setdefault(key, _Copy(self.folder / str(new_id())))
        self._copies.move_to_end(key)
        copy.holders += 1
        try:
            async with copy.downloading:
                if copy.size is None:
                    await self._storage.download_to(key, copy.path)
                    copy.size = copy.path.stat().st_size
            yield copy.path
        finally:
            copy.holders -= 1
            self._make_room()

    def close(self) -> None:
        """Remove everything."""
        self._stack.close()

    def _make_room(self) -> None:
        held = sum(copy.size or 0 for copy in self._copies.values())
        for key, copy in list(self._copies.items()):
            if copy.holders or (copy.size is not None and held <= self._most_bytes):
                continue
            held -= copy.size or 0
            del self._copies[key]
            copy.path.unlink(missing_ok=True)
