from datetime import UTC, datetime

import pytest

from alta_common.engines.operations import NoOperations, OperationStore, RemoteOperation
from alta_common.ids import new_id
from alta_common.testing.storage import MemoryObjectStorage

OPERATION = RemoteOperation(
    name="projects/p/locations/global/operations/17",
    started_at=datetime(2026, 11, 23, 12, tzinfo=UTC),
    inputs=("gs://bucket/work/a/b/audio.flac",),
)
ITEM, REQUEST = new_id(), new_id()


@pytest.fixture
def storage() -> MemoryObjectStorage:
    return MemoryObjectStorage()


async def test_a_second_delivery_of_a_request_finds_the_operation_of_the_first(storage: MemoryObjectStorage) -> None:
    await OperationStore(storage, ITEM, REQUEST).save("speech", OPERATION)

    assert await OperationStore(storage, ITEM, REQUEST).find("speech") == OPERATION


async def test_another_request_for_the_same_item_has_operations_of_its_own(storage: MemoryObjectStorage) -> None:
    await OperationStore(storage, ITEM, REQUEST).save("speech", OPERATION)

    assert await OperationStore(storage, ITEM, new_id()).find("speech") is None


async def test_parts_are_kept_apart(storage: MemoryObjectStorage) -> None:
    operations = OperationStore(storage, ITEM, REQUEST)

    await operations.save("pages-1-15", OPERATION)

    assert await operations.find("pages-16-20") is None
    assert list(storage.objects) == [f"results/{ITEM}/{REQUEST}.operation-pages-1-15"]


async def test_nothing_is_left_when_all_is_cleared(storage: MemoryObjectStorage) -> None:
    await OperationStore(storage, ITEM, REQUEST).save("pages-1-15", OPERATION)
    later = OperationStore(storage, ITEM, REQUEST)
    await later.find("pages-1-15")
    await later.save("pages-16-30", OPERATION)

    await later.clear_all()

    assert storage.objects == {}
    assert list(later.parts) == []


async def test_an_unreadable_record_counts_as_none(storage: MemoryObjectStorage) -> None:
    await storage.put_bytes(f"results/{ITEM}/{REQUEST}.operation-speech", b"{", "application/json")

    assert await OperationStore(storage, ITEM, REQUEST).find("speech") is None


async def test_outside_of_a_request_nothing_is_remembered() -> None:
    operations = NoOperations()

    await operations.save("speech", OPERATION)

    assert await operations.find("speech") is None
    assert operations.folder != NoOperations().folder
