"""What the sweep takes away, and what it leaves alone."""

import os
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from alta_common.clock import utc_now
from alta_common.contracts.results import cancellation_key
from alta_common.db.engine import Sessions
from alta_common.http.idempotency import IdempotencyKeys
from alta_common.ids import new_id
from alta_common.inbox import Inbox
from alta_common.outbox import Outbox
from alta_common.storage import ObjectNotFoundError
from alta_common.storage.filesystem import FilesystemObjectStorage
from alta_projects.application.cancellations import Cancellations
from alta_projects.application.results import ResultService
from alta_projects.application.sweep import Sweeper
from alta_projects.models.document import Document
from alta_projects.repositories.objects import UnclaimedObjectRepository
from alta_projects.settings import ProjectsSettings


@pytest.fixture
def sweeper(sessions: Sessions, storage: FilesystemObjectStorage) -> Sweeper:
    return a_sweeper(sessions, storage)


def a_sweeper(sessions: Sessions, storage: FilesystemObjectStorage) -> Sweeper:
    cancellations = Cancellations(storage, Outbox("projects"))
    keys, inbox = IdempotencyKeys("projects"), Inbox("projects")
    return Sweeper(
        sessions, storage, keys=keys, inbox=inbox, inbox_memory=timedelta(days=30), cancellations=cancellations
    )


async def is_stored(storage: FilesystemObjectStorage, key: str) -> bool:
    try:
        await storage.size(key)
    except ObjectNotFoundError:
        return False
    return True


async def leave_behind(sessions: Sessions, storage: FilesystemObjectStorage, key: str, delete_after: datetime) -> None:
    """As an upload does that dies before its transaction."""
    async with sessions.begin() as session:
        await UnclaimedObjectRepository(session).condemn([key], delete_after)
    await storage.put_bytes(key, b"half an upload", "application/pdf")


async def test_an_object_that_a_crash_left_behind_is_removed_when_its_time_is_over(
    sweeper: Sweeper, sessions: Sessions, storage: FilesystemObjectStorage
) -> None:
    old, young = (f"documents/{new_id()}/{new_id()}/original" for _ in range(2))
    await leave_behind(sessions, storage, old, utc_now() - timedelta(seconds=1))
    await leave_behind(sessions, storage, young, utc_now() + timedelta(hours=24))

    await sweeper.sweep()

    assert not await is_stored(storage, old)
    assert await is_stored(storage, young)
    async with sessions() as session:
        left = (await session.execute(text("SELECT object_key FROM projects.unclaimed_object"))).scalars().all()
    assert young in left
    assert old not in left


async def test_a_half_written_file_of_a_killed_process_is_removed_after_a_day(
    sweeper: Sweeper, storage: FilesystemObjectStorage, settings: ProjectsSettings
) -> None:
    await storage.check()
    abandoned = settings.storage_dir / ".incoming" / "abandoned"
    abandoned.write_bytes(b"half an upload")
    two_days_ago = (utc_now() - timedelta(days=2)).timestamp()
    os.utime(abandoned, (two_days_ago, two_days_ago))

    await sweeper.sweep()

    assert not abandoned.exists()


async def test_more_than_a_batch_is_removed_in_one_sweep(
    sweeper: Sweeper, sessions: Sessions, storage: FilesystemObjectStorage
) -> None:
    keys = [f"documents/{new_id()}/{new_id()}/original" for _ in range(250)]
    async with sessions.begin() as session:
        await UnclaimedObjectRepository(session).condemn(keys, utc_now() - timedelta(seconds=1))

    await sweeper.sweep()

    async with sessions() as session:
        query = text("SELECT count(*) FROM projects.unclaimed_object WHERE delete_after < now()")
        assert (await session.execute(query)).scalar_one() == 0


async def test_a_deleted_document_loses_its_file(ada: Any, sweeper: Sweeper, storage: FilesystemObjectStorage) -> None:
    document = await ada.document((await ada.project())["id"])
    key = f"documents/{document['project_id']}/{document['id']}/original"
    await sweeper.sweep()
    assert await is_stored(storage, key)

    await ada.http.delete(f"/v1/documents/{document['id']}")
    await sweeper.sweep()

    assert not await is_stored(storage, key)


async def test_a_deleted_document_loses_every_result_that_it_had(
    ada: Any, sweeper: Sweeper, storage: FilesystemObjectStorage, results: ResultService, engines: Any
) -> None:
    document = await ada.document((await ada.project())["id"])
    path, keys = f"/v1/documents/{document['id']}", []
    for _ in range(2):
        completed = await engines.completed(document)
        keys.append(completed.result_key)
        await results.record_completion(Document, completed)
        document = (await ada.http.post(f"{path}/reprocess")).json()
    await sweeper.sweep()
    assert all([await is_stored(storage, key) for key in keys])

    await ada.http.delete(path)
    await sweeper.sweep()

    assert not any([await is_stored(storage, key) for key in keys])


async def test_a_project_that_was_deleted_under_its_uploads_is_purged_and_not_read_any_further(
    ada: Any, sweeper: Sweeper, sessions: Sessions, owed: Any, storage: FilesystemObjectStorage
) -> None:
    document = await ada.document((await ada.project())["id"])
    async with sessions.begin() as session:
        gone = text("UPDATE projects.project SET deleted_at = now() - interval '2 minutes' WHERE id = :id")
        await session.execute(gone, {"id": document["project_id"]})

    await sweeper.sweep()

    assert await owed.types(document["id"]) == ["DOCUMENT_OCR_REQUESTED", "DOCUMENT_OCR_CANCELLED"]
    assert await is_stored(storage, cancellation_key(document["id"], 1))
    async with sessions() as session:
        left = text("SELECT count(*) FROM projects.media_item WHERE id = :id")
        assert (await session.execute(left, {"id": document["id"]})).scalar_one() == 0


async def test_a_deleted_project_is_purged_with_all_it_held(
    ada: Any, sweeper: Sweeper, sessions: Sessions, storage: FilesystemObjectStorage
) -> None:
    project, other = await ada.project(), await ada.project()
    documents = [await ada.document(project["id"], b"%%PDF-%d" % number) for number in range(3)]
    kept = await ada.document(other["id"])
    await ada.http.delete(f"/v1/projects/{project['id']}")
    async with sessions.begin() as session:
        age = text("UPDATE projects.project SET deleted_at = deleted_at - interval '2 minutes' WHERE id = :id")
        await session.execute(age, {"id": project["id"]})

    await sweeper.sweep()

    async with sessions() as session:
        count = text("SELECT count(*) FROM projects.project WHERE id = :id")
        assert (await session.execute(count, {"id": project["id"]})).scalar_one() == 0
        members = text("SELECT count(*) FROM projects.member WHERE project_id = :id")
        assert (await session.execute(members, {"id": project["id"]})).scalar_one() == 0
        chain = text("SELECT count(*) FROM projects.audit_log WHERE stream = :id")
        assert (await session.execute(chain, {"id": project["id"]})).scalar_one() == 5
    for document in documents:
        assert not await is_stored(storage, f"documents/{project['id']}/{document['id']}/original")
    assert await is_stored(storage, f"documents/{other['id']}/{kept['id']}/original")
    assert (await ada.http.get(f"/v1/documents/{kept['id']}")).status_code == 200


async def test_an_item_that_somebody_holds_is_purged_the_next_time(
    ada: Any, sweeper: Sweeper, sessions: Sessions
) -> None:
    project_id = (await ada.project())["id"]
    held, _ = await ada.document(project_id, b"%PDF-held"), await ada.document(project_id, b"%PDF-free")
    left = text("SELECT id::text FROM projects.media_item WHERE project_id = :id")
    async with sessions.begin() as session:
        gone = text("UPDATE projects.project SET deleted_at = now() - interval '2 minutes' WHERE id = :id")
        await session.execute(gone, {"id": project_id})

    async with sessions.begin() as session:
        await session.execute(text("SELECT FROM projects.media_item WHERE id = :id FOR UPDATE"), {"id": held["id"]})
        await sweeper.sweep()
        assert (await session.execute(left, {"id": project_id})).scalars().all() == [held["id"]]
    await sweeper.sweep()

    async with sessions() as session:
        assert (await session.execute(left, {"id": project_id})).scalars().all() == []
        project = text("SELECT count(*) FROM projects.project WHERE id = :id")
        assert (await session.execute(project, {"id": project_id})).scalar_one() == 0


async def test_keys_and_inbox_rows_are_forgotten_in_time(ada: Any, sweeper: Sweeper, sessions: Sessions) -> None:
    old, young, handled, remembered = str(new_id()), str(new_id()), new_id(), new_id()
    for key in (old, young):
        await ada.http.post("/v1/projects", json={"name": "a"}, headers={"Idempotency-Key": key})
    async with sessions.begin() as session:
        age = text("UPDATE projects.idempotency_key SET created_at = now() - interval '25 hours' WHERE key = :key")
        await session.execute(age, {"key": old})
        insert = text("INSERT INTO projects.inbox VALUES (:event_id, 'x', now() - make_interval(days => :days))")
        await session.execute(insert, [{"event_id": handled, "days": 31}, {"event_id": remembered, "days": 29}])

    await sweeper.sweep()

    async with sessions() as session:
        keys = (await session.execute(text("SELECT key FROM projects.idempotency_key"))).scalars().all()
        inbox = (await session.execute(text("SELECT event_id FROM projects.inbox"))).scalars().all()
    assert young in keys
    assert old not in keys
    assert handled not in inbox
    assert remembered in inbox


async def test_one_sweeps_and_the_other_passes(
    sweeper: Sweeper, sessions: Sessions, storage: FilesystemObjectStorage
) -> None:
    key = f"documents/{new_id()}/{new_id()}/original"
    await leave_behind(sessions, storage, key, utc_now() - timedelta(seconds=1))

    async with sessions.begin() as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('projects.sweep'))"))
        await sweeper.sweep()
        assert await is_stored(storage, key)

    await sweeper.sweep()
    assert not await is_stored(storage, key)


async def test_a_store_that_fails_loses_nothing(
    sweeper: Sweeper, sessions: Sessions, storage: FilesystemObjectStorage
) -> None:
    key = f"documents/{new_id()}/{new_id()}/original"
    await leave_behind(sessions, storage, key, utc_now() - timedelta(seconds=1))

    folder = (storage._root / key).parent
    folder.chmod(0o500)
    broken = FilesystemObjectStorage(storage._root / key)
    failing = a_sweeper(sessions, broken)
    with pytest.raises(OSError):
        await failing.sweep()
    folder.chmod(0o700)

    await sweeper.sweep()
    assert not await is_stored(storage, key)
