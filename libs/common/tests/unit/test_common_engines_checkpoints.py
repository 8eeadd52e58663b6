"""What is kept of a long work is there for the next delivery, and gone after the last."""

import asyncio
from uuid import UUID

import pytest

from alta_common.engines.checkpoints import NoCheckpoint, StoredCheckpoint
from alta_common.errors import UnavailableError
from alta_common.ids import new_id
from alta_common.storage.object_storage import StoredObject
from alta_common.testing.storage import MemoryObjectStorage


class FailingStorage(MemoryObjectStorage):
    """Stores nothing."""

    async def put_bytes(self, key: str, data: bytes, content_type: str) -> StoredObject:
        raise UnavailableError(f"the storage is away: {key} of {len(data)} bytes, {content_type}")


class SlowStorage(MemoryObjectStorage):
    """Lets others have their turn at every step."""

    async def put_bytes(self, key: str, data: bytes, content_type: str) -> StoredObject:
        await asyncio.sleep(0)
        return await super().put_bytes(key, data, content_type)

    async def read(self, key: str) -> bytes:
        await asyncio.sleep(0)
        return await super().read(key)


@pytest.fixture
def storage() -> MemoryObjectStorage:
    return MemoryObjectStorage()


@pytest.fixture
def ids() -> tuple[UUID, UUID]:
    return new_id(), new_id()


async def test_another_process_goes_on_from_what_was_kept(storage: MemoryObjectStorage, ids: tuple[UUID, UUID]) -> None:
    checkpoint = StoredCheckpoint(storage, *ids)
    await checkpoint.save("pages-1-4", b"one")
    await checkpoint.save("pages-5-8", b"two")
    await checkpoint.save("pages-1-4", b"one, better")

    assert await StoredCheckpoint(storage, *ids).load() == {"pages-1-4": b"one, better", "pages-5-8": b"two"}
    assert await StoredCheckpoint(storage, ids[0], new_id()).load() == {}


async def test_no_engine_goes_on_from_what_another_began(storage: MemoryObjectStorage, ids: tuple[UUID, UUID]) -> None:
    checkpoint = StoredCheckpoint(storage, *ids)

    await checkpoint.of("documentai").save("1", b"theirs")
    await checkpoint.of("local").save("1", b"ours")

    assert await checkpoint.of("local").load() == {"1": b"ours"}
    assert await checkpoint.of("documentai").load() == {"1": b"theirs"}


async def test_parts_that_are_saved_at_once_are_all_kept(ids: tuple[UUID, UUID]) -> None:
    checkpoint = StoredCheckpoint(SlowStorage(), *ids)

    await asyncio.gather(*(checkpoint.save(str(number), b"") for number in range(20)))

    assert set(await checkpoint.load()) == {str(number) for number in range(20)}


async def test_nothing_is_left_after_the_end(storage: MemoryObjectStorage, ids: tuple[UUID, UUID]) -> None:
    checkpoint = StoredCheckpoint(storage, *ids)
    await checkpoint.of("local").save("1", b"one")
    await checkpoint.of("local").save("2", b"two")

    await StoredCheckpoint(storage, *ids).clear()
    await checkpoint.clear()

    assert storage.objects == {}
    assert await checkpoint.load() == {}


async def test_what_cannot_be_kept_is_no_fault(ids: tuple[UUID, UUID]) -> None:
    checkpoint = StoredCheckpoint(FailingStorage(), *ids)

    await checkpoint.save("1", b"one")

    assert await checkpoint.load() == {}


@pytest.mark.parametrize("index", [b"", b"{}", b"[1, null]", b'["1"'])
async def test_a_broken_index_is_as_none(storage: MemoryObjectStorage, ids: tuple[UUID, UUID], index: bytes) -> None:
    checkpoint = StoredCheckpoint(storage, *ids)
    await checkpoint.save("1", b"one")
    [key] = [key for key in storage.objects if key.endswith(".parts")]
    storage.objects[key] = index

    assert await checkpoint.load() == {}
    await checkpoint.save("2", b"two")
    assert await checkpoint.load() == {"2": b"two"}


async def test_a_part_that_is_gone_is_left_out(storage: MemoryObjectStorage, ids: tuple[UUID, UUID]) -> None:
    checkpoint = StoredCheckpoint(storage, *ids)
    await checkpoint.save("1", b"one")
    await checkpoint.save("2", b"two")
    [key] = [key for key in storage.objects if key.endswith("part-1")]
    del storage.objects[key]

    assert await checkpoint.load() == {"2": b"two"}


async def test_an_engine_may_be_given_no_checkpoint() -> None:
    await NoCheckpoint().save("1", b"one")

    assert await NoCheckpoint().load() == {}
