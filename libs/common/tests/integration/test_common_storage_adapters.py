import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from alta_common.errors import NotFoundError, UnavailableError
from alta_common.settings import StorageSettings
from alta_common.storage import ObjectNotFoundError, ObjectStorage, create_storage
from alta_common.storage.filesystem import FilesystemObjectStorage
from alta_common.testing.gcs import gcs_emulator
from alta_common.testing.storage import MemoryObjectStorage

BUCKET = "alta-test"
KEY = "documents/0190/a.b/original"


@pytest.fixture(scope="module")
def gcs_endpoint() -> Iterator[str]:
    with gcs_emulator(BUCKET) as endpoint:
        yield endpoint


@pytest.fixture(params=["filesystem", "gcs", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStorage:
    if request.param == "memory":
        return MemoryObjectStorage()
    if request.param == "filesystem":
        return create_storage(StorageSettings(storage_dir=tmp_path / "storage", gcs_bucket_name=""))
    endpoint = request.getfixturevalue("gcs_endpoint")
    return create_storage(StorageSettings(gcs_bucket_name=BUCKET, gcs_endpoint=endpoint, gcs_project_id="test"))


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def all_of(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def test_what_is_stored_is_read_back(storage: ObjectStorage) -> None:
    stored = await storage.put(KEY, pieces(b"hello", b"", b" world"), "text/plain")

    assert (stored.key, stored.size_bytes) == (KEY, 11)
    assert stored.sha256 == hashlib.sha256(b"hello world").hexdigest()
    assert await storage.read(KEY) == b"hello world"
    assert await storage.size(KEY) == 11
    await storage.check()


async def test_a_large_object_comes_back_whole(storage: ObjectStorage, tmp_path: Path) -> None:
    chunk = os.urandom(300_000)
    data = chunk * 20

    stored = await storage.put("big", pieces(*([chunk] * 20)), "application/octet-stream")
    await storage.download_to("big", tmp_path / "copy")

    assert stored.size_bytes == len(data)
    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    assert await all_of(storage.open("big")) == data
    assert (tmp_path / "copy").read_bytes() == data


@pytest.mark.parametrize(
    ("start", "end"), [(0, None), (0, 5), (3, 7), (5, None), (9, 10), (4, 4), (7, 3), (10, None), (50, 60), (8, 100)]
)
async def test_a_part_can_be_read(storage: ObjectStorage, start: int, end: int | None) -> None:
    await storage.put_bytes(KEY, b"0123456789", "text/plain")

    assert await all_of(storage.open(KEY, start, end)) == b"0123456789"[start:end]


async def test_an_empty_object_is_an_object(storage: ObjectStorage) -> None:
    await storage.put("empty", pieces(), "text/plain")

    assert await storage.size("empty") == 0
    assert await all_of(storage.open("empty")) == b""
    assert await storage.read("empty") == b""


async def test_a_second_put_replaces_the_first(storage: ObjectStorage) -> None:
    await storage.put_bytes(KEY, b"first", "text/plain")
    await storage.put(KEY, pieces(b"second"), "text/plain")

    assert await storage.read(KEY) == b"second"


async def test_what_is_missing_is_named_and_may_be_deleted(storage: ObjectStorage, tmp_path: Path) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: storage.read("no/such"),
        lambda: storage.size("no/such"),
        lambda: all_of(storage.open("no/such")),
        lambda: storage.download_to("no/such", tmp_path / "copy"),
    ]
    for call in calls:
        with pytest.raises(ObjectNotFoundError, match="no/such") as raised:
            await call()
        assert isinstance(raised.value, NotFoundError)
    await storage.put_bytes(KEY, b"x", "text/plain")

    await storage.delete(KEY)
    await storage.delete(KEY)

    with pytest.raises(ObjectNotFoundError):
        await storage.size(KEY)


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".hidden", "a/.incoming", "a\\..\\b", "a\0b", "x" * 1001],
)
async def test_a_key_cannot_lead_outside(storage: ObjectStorage, key: str) -> None:
    for call in (
        lambda: storage.put_bytes(key, b"x", "text/plain"),
        lambda: storage.read(key),
        lambda: storage.delete(key),
        lambda: all_of(storage.open(key)),
    ):
        with pytest.raises(ValueError, match="object key"):
            await call()


class BrokenUploadError(Exception):
    pass


async def broken_upload() -> AsyncIterator[bytes]:
    yield b"x" * 3_000_000
    raise BrokenUploadError


async def test_a_broken_upload_leaves_nothing(storage: ObjectStorage) -> None:
    with pytest.raises(BrokenUploadError):
        await storage.put("broken", broken_upload(), "text/plain")

    with pytest.raises(ObjectNotFoundError):
        await storage.size("broken")


async def test_a_broken_upload_leaves_the_old_object(storage: ObjectStorage) -> None:
    await storage.put_bytes(KEY, b"old", "text/plain")

    with pytest.raises(BrokenUploadError):
        await storage.put(KEY, broken_upload(), "text/plain")

    assert await storage.read(KEY) == b"old"


async def test_a_cancelled_upload_leaves_nothing(storage: ObjectStorage) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 300_000
        begun.set()
        await asyncio.Event().wait()

    upload = asyncio.ensure_future(storage.put("cancelled", endless(), "text/plain"))
    await begun.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload

    with pytest.raises(ObjectNotFoundError):
        await storage.size("cancelled")


async def test_reading_can_stop_early(storage: ObjectStorage) -> None:
    await storage.put_bytes(KEY, b"x" * 2_000_000, "text/plain")

    async with aclosing(storage.open(KEY)) as chunks:  # type: ignore[type-var]
        assert len(await anext(chunks)) > 0

    assert await storage.size(KEY) == 2_000_000


async def test_a_folder_holds_no_traces_of_what_went(tmp_path: Path) -> None:
    storage = FilesystemObjectStorage(tmp_path)
    await storage.put_bytes("a/b/c", b"x", "text/plain")
    await storage.put_bytes("a/d", b"x", "text/plain")
    with pytest.raises(BrokenUploadError):
        await storage.put("a/e", broken_upload(), "text/plain")

    await storage.delete("a/b/c")

    left = await asyncio.to_thread(lambda: list(tmp_path.rglob("*")))
    assert sorted(str(path.relative_to(tmp_path)) for path in left) == [".incoming", "a", "a/d"]


async def test_what_a_killed_writer_left_is_tidied_up_after_a_day(tmp_path: Path) -> None:
    storage = FilesystemObjectStorage(tmp_path)
    await storage.put_bytes("a/b", b"x", "text/plain")
    old, young = tmp_path / ".incoming" / "old", tmp_path / ".incoming" / "young"
    for path in (old, young):
        path.write_bytes(b"half")
    two_days_ago = old.stat().st_mtime - 2 * 86_400
    os.utime(old, (two_days_ago, two_days_ago))

    assert await storage.tidy() == 1

    assert not old.exists()
    assert young.exists()
    assert await storage.read("a/b") == b"x"


async def test_writers_beside_each_other_do_no_harm(tmp_path: Path) -> None:
    storage = FilesystemObjectStorage(tmp_path)

    async def work(number: int) -> None:
        for _ in range(10):
            await storage.put_bytes(f"a/b/{number}", b"x", "text/plain")
            await storage.delete(f"a/b/{number}")

    await asyncio.gather(*(work(number) for number in range(8)))

    assert not (tmp_path / "a").exists()


async def test_storage_that_is_away_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    away = [
        StorageSettings(storage_dir=tmp_path / "file", gcs_bucket_name=""),
        StorageSettings(gcs_bucket_name=BUCKET, gcs_endpoint="http://127.0.0.1:9"),
    ]
    for settings in away:
        with pytest.raises(UnavailableError):
            await create_storage(settings).check()


async def test_a_missing_bucket_says_so(gcs_endpoint: str) -> None:
    storage = create_storage(StorageSettings(gcs_bucket_name="other", gcs_endpoint=gcs_endpoint))

    with pytest.raises(UnavailableError, match="no bucket other"):
        await storage.check()
