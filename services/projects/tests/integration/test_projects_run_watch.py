"""Runs of which nothing is heard end by themselves, and those of deleted projects with them."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.audit import AuditTrail
from alta_common.contracts.results import cancellation_key
from alta_common.db.engine import Sessions
from alta_common.outbox import Outbox
from alta_common.storage.filesystem import FilesystemObjectStorage
from alta_projects.application.audit import ProjectAudit
from alta_projects.application.cancellations import Cancellations
from alta_projects.application.metrics import runs_called_off
from alta_projects.application.results import ResultService
from alta_projects.application.run_watch import RunWatch
from alta_projects.models.document import Document
from alta_projects.repositories.changes import ChangeAnnouncer

MORE_LIKE_IT = """
INSERT INTO projects.media_item
SELECT (jsonb_populate_record(item, jsonb_build_object('id', gen_random_uuid(), 'sha256', number::text))).*
FROM projects.media_item AS item, generate_series(1, :count) AS number WHERE item.id = :id RETURNING id
"""
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64)


@pytest.fixture
def watch(sessions: Sessions, engine: AsyncEngine, storage: FilesystemObjectStorage) -> RunWatch:
    cancellations = Cancellations(storage, Outbox("projects"))
    return RunWatch(sessions, ProjectAudit(AuditTrail("projects")), ChangeAnnouncer(engine), cancellations)


async def let_pass(sessions: Sessions, item: dict[str, Any], minutes: int) -> None:
    """Move an item's deadline so many minutes into the past."""
    query = text("UPDATE projects.media_item SET deadline_at = now() - make_interval(mins => :minutes) WHERE id = :id")
    async with sessions.begin() as session:
        await session.execute(query, {"minutes": minutes, "id": item["id"]})


def called_off(kind: str, reason: str) -> float:
    return runs_called_off.labels(kind, reason)._value.get()


async def test_what_is_long_past_its_deadline_fails(
    ada: Any, watch: RunWatch, sessions: Sessions, owed: Any, audited: Any, storage: FilesystemObjectStorage
) -> None:
    document = await ada.document((await ada.project())["id"])
    sample = (await ada.upload(document["project_id"], WAV, filename="a.wav", kind="voice-samples")).json()
    before = called_off("document", "deadline")
    for item in (document, sample):
        await let_pass(sessions, item, 16)

    await watch.look()

    for place, item in (("documents", document), ("voice-samples", sample)):
        read = (await ada.http.get(f"/v1/{place}/{item['id']}")).json()
        assert (read["status"], read["error"]["code"], read["error"]["retryable"]) == ("failed", "timeout", True)
        last = (await owed.events(item["id"]))[-1]
        assert (last["type"].endswith("_CANCELLED"), last["attempt"], last["reason"]) == (True, 1, "deadline")
        assert await storage.read(cancellation_key(item["id"], 1)) == b""
        action, details = (await audited.of(item["id"]))[-1]
        assert (action.endswith(".failed"), details["code"], details["retryable"]) == (True, "timeout", True)
        assert details["detail"] == read["error"]["detail"]
    assert called_off("document", "deadline") == before + 1
    again = await ada.http.post(f"/v1/documents/{document['id']}/reprocess")
    assert (again.status_code, again.json()["attempt"]) == (202, 2)


async def test_the_engines_are_given_time_to_say_so_themselves(
    ada: Any, watch: RunWatch, sessions: Sessions, results: ResultService, engines: Any
) -> None:
    young = await ada.document((await ada.project())["id"])
    read = await ada.document(young["project_id"], b"%PDF-read")
    await results.record_completion(Document, await engines.completed(read))
    await let_pass(sessions, young, 14)
    await let_pass(sessions, read, 600)

    await watch.look()

    assert (await ada.http.get(f"/v1/documents/{young['id']}")).json()["status"] == "queued"
    assert (await ada.http.get(f"/v1/documents/{read['id']}")).json()["status"] == "completed"


async def test_two_that_look_at_once_end_a_run_once(
    ada: Any, watch: RunWatch, sessions: Sessions, owed: Any, audited: Any
) -> None:
    document = await ada.document((await ada.project())["id"])
    await let_pass(sessions, document, 16)

    await asyncio.gather(*(watch.look() for _ in range(3)))
    await watch.look()

    assert await owed.types(document["id"]) == ["DOCUMENT_OCR_REQUESTED", "DOCUMENT_OCR_CANCELLED"]
    assert [action for action, _ in await audited.of(document["id"])] == ["document.uploaded", "document.failed"]


async def test_a_result_that_comes_after_all_is_taken(
    ada: Any, watch: RunWatch, sessions: Sessions, results: ResultService, engines: Any
) -> None:
    document = await ada.document((await ada.project())["id"])
    await let_pass(sessions, document, 16)
    await watch.look()

    await results.record_completion(Document, await engines.completed(document))

    read = (await ada.http.get(f"/v1/documents/{document['id']}")).json()
    assert (read["status"], read["error"]) == ("completed", None)


async def test_a_deleted_project_is_not_read_any_further(
    ada: Any, watch: RunWatch, sessions: Sessions, owed: Any, storage: FilesystemObjectStorage
) -> None:
    project, other = await ada.project(), await ada.project()
    first = await ada.document(project["id"])
    async with sessions.begin() as session:
        more = (await session.execute(text(MORE_LIKE_IT), {"id": first["id"], "count": 104})).scalars().all()
    waiting = [first["id"], *map(str, more)]
    kept = await ada.document(other["id"])
    await ada.http.delete(f"/v1/projects/{project['id']}")
    at_once = [item_id for item_id in waiting if "DOCUMENT_OCR_CANCELLED" in await owed.types(item_id)]

    await watch.look()

    assert len(at_once) == 100
    query = text("SELECT status, count(*) FROM projects.media_item WHERE project_id = :id GROUP BY status")
    async with sessions() as session:
        assert (await session.execute(query, {"id": project["id"]})).all() == [("cancelled", 105)]
    for item_id in waiting:
        called_off = (await owed.events(item_id))[-1]
        assert (called_off["type"], called_off["reason"]) == ("DOCUMENT_OCR_CANCELLED", "deleted")
        assert await storage.read(cancellation_key(UUID(item_id), 1)) == b""
    assert await owed.types(kept["id"]) == ["DOCUMENT_OCR_REQUESTED"]
