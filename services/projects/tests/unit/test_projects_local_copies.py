"""Originals on this machine's disk: fetched once, kept for a while, gone in the end."""

import asyncio
from pathlib import Path

import pytest

from alta_common.storage.object_storage import ObjectNotFoundError
from alta_common.testing.storage import MemoryObjectStorage
from alta_projects.application.local_copies import LocalCopies


class CountingStorage(MemoryObjectStorage):
    """A store that knows how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    async def download_to(self, key: str, path: Path) -> None:
        self.fetched.append(key)
        await super().download_to(key, path)


@pytest.fixture
async def storage() -> CountingStorage:
    storage = CountingStorage()
    for name in ("a", "b", "c"):
        await storage.put_bytes(name, name.encode() * 10, "text/plain")
    return storage


async def test_who_asks_at_the_same_time_shares_one_copy(storage: CountingStorage) -> None:
    copies = LocalCopies(storage, 100)

    async def read() -> bytes:
        async with copies.hold("a") as path:
            return path.read_bytes()

    assert await asyncio.gather(*(read() for _ in range(5))) == [b"a" * 10] * 5
    assert storage.fetched == ["a"]

    copies.close()


async def test_what_was_used_last_is_kept_as_far_as_there_is_room(storage: CountingStorage) -> None:
    copies = LocalCopies(storage, 20)

    for name in ("a", "b", "a", "c", "a", "b"):
        async with copies.hold(name) as path:
            assert path.read_bytes() == name.encode() * 10

    # "b" had to make room for "c".
    assert storage.fetched == ["a", "b", "c", "b"]
    assert len(list(copies.folder.iterdir())) == 2
    copies.close()


async def test_what_is_held_stays_however_little_room_there_is(storage: CountingStorage) -> None:
    copies = LocalCopies(storage, 0)

    async with copies.hold("a") as one, copies.hold("b") as other:
        assert (one.exists(), other.exists()) == (True, True)

    assert not list(copies.folder.iterdir())
    copies.close()


async def test_a_missing_object_leaves_nothing_and_may_come_later(storage: CountingStorage) -> None:
    copies = LocalCopies(storage, 100)

    with pytest.raises(ObjectNotFoundError):
        async with copies.hold("later"):
            pass
    await storage.put_bytes("later", b"here", "text/plain")
    async with copies.hold("later") as path:
        assert path.read_bytes() == b"here"

    copies.close()


async def test_nothing_outlives_the_process(storage: CountingStorage) -> None:
    copies = LocalCopies(storage, 100)
    async with copies.hold("a"):
        folder = copies.folder

    copies.close()

    assert not folder.exists()
