"""Stopping runs over HTTP: at once, once, and whatever comes late has no effect."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from alta_common.contracts.results import cancellation_key
from alta_common.db.engine import Sessions
from alta_common.ids import new_id
from alta_common.storage.filesystem import FilesystemObjectStorage
from alta_projects.application.results import ResultService
from alta_projects.models.document import Document
from alta_projects.models.voice_sample import VoiceSample

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64)


@pytest.fixture
async def document(ada: Any) -> dict[str, Any]:
    return await ada.document((await ada.project())["id"])


def stand_in_the_way(storage: FilesystemObjectStorage) -> None:
    """Let no result or marker be written: a file is where their folder would be."""
    (storage._root / "results").write_bytes(b"")


async def condemned(sessions: Sessions) -> list[str]:
    async with sessions() as session:
        return list((await session.execute(text("SELECT object_key FROM projects.unclaimed_object"))).scalars())


async def test_a_cancelled_document_is_so_at_once_and_its_engine_is_told(
    ada: Any, document: dict[str, Any], owed: Any, audited: Any, storage: FilesystemObjectStorage, sessions: Sessions
) -> None:
    path = f"/v1/documents/{document['id']}"

    cancelled = await ada.http.post(f"{path}/cancel")

    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert (cancelled.headers["Location"], cancelled.json()["error"]) == (path, None)
    read = await ada.http.get(path)
    assert (read.json(), read.headers["ETag"]) == (cancelled.json(), cancelled.headers["ETag"])
    requested, called_off = await owed.events(document["id"])
    assert (requested["type"], called_off["type"]) == ("DOCUMENT_OCR_REQUESTED", "DOCUMENT_OCR_CANCELLED")
    assert (called_off["attempt"], called_off["reason"]) == (1, "cancelled")
    marker = cancellation_key(document["id"], 1)
    assert await storage.read(marker) == b""
    assert marker in await condemned(sessions)
    assert [action for action, _ in await audited.of(document["id"])] == ["document.uploaded", "document.cancelled"]


async def test_cancelling_again_changes_nothing(
    ada: Any, document: dict[str, Any], owed: Any, audited: Any, storage: FilesystemObjectStorage
) -> None:
    path = f"/v1/documents/{document['id']}/cancel"
    answers = await asyncio.gather(*(ada.http.post(path) for _ in range(4)))
    await storage.delete(cancellation_key(document["id"], 1))

    answers.append(await ada.http.post(path))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.headers["ETag"] for answer in answers}) == 1
    assert (await owed.types(document["id"])).count("DOCUMENT_OCR_CANCELLED") == 1
    assert len(await audited.of(document["id"])) == 2
    # Of the first time it is not known whether it came as far as the marker.
    assert await storage.size(cancellation_key(document["id"], 1)) == 0


async def test_the_marker_of_a_run_that_is_cancelled_again_much_later_is_swept_too(
    ada: Any, document: dict[str, Any], sessions: Sessions
) -> None:
    path = f"/v1/documents/{document['id']}/cancel"
    await ada.http.post(path)
    async with sessions.begin() as session:
        # As the sweep does after a week.
        await session.execute(text("DELETE FROM projects.unclaimed_object"))

    await ada.http.post(path)

    assert cancellation_key(document["id"], 1) in await condemned(sessions)


async def test_what_comes_late_of_a_cancelled_run_has_no_effect(
    ada: Any, document: dict[str, Any], results: ResultService, engines: Any, sessions: Sessions
) -> None:
    path = f"/v1/documents/{document['id']}"
    await results.record_progress(Document, engines.progressed(document, 1))
    cancelled = (await ada.http.post(f"{path}/cancel")).json()
    late = await engines.completed(document)

    await results.record_progress(Document, engines.progressed(document, 2))
    await results.record_completion(Document, late)
    await results.record_failure(Document, engines.failed(document))

    assert (await ada.http.get(path)).json() == cancelled
    refused = await ada.http.get(f"{path}/result")
    assert (refused.status_code, refused.json()["code"]) == (409, "processing_cancelled")
    assert late.result_key in await condemned(sessions)


async def test_what_has_ended_cannot_be_cancelled(
    ada: Any, document: dict[str, Any], results: ResultService, engines: Any, owed: Any
) -> None:
    broken = await ada.document(document["project_id"], b"%PDF-broken")
    await results.record_completion(Document, await engines.completed(document))
    await results.record_failure(Document, engines.failed(broken))

    for item, status in ((document, "completed"), (broken, "failed")):
        refused = await ada.http.post(f"/v1/documents/{item['id']}/cancel")

        assert (refused.status_code, refused.json()["code"]) == (409, "already_finished")
        assert (await ada.http.get(f"/v1/documents/{item['id']}")).json()["status"] == status
        assert await owed.types(item["id"]) == ["DOCUMENT_OCR_REQUESTED"]


async def test_a_result_and_a_cancellation_at_once_leave_one_of_both(
    ada: Any, document: dict[str, Any], results: ResultService, engines: Any, owed: Any
) -> None:
    path = f"/v1/documents/{document['id']}"
    completed = await engines.completed(document)

    answer, _ = await asyncio.gather(ada.http.post(f"{path}/cancel"), results.record_completion(Document, completed))

    status = (await ada.http.get(path)).json()["status"]
    result = await ada.http.get(f"{path}/result")
    seen = (
        answer.status_code,
        status,
        result.status_code,
        "DOCUMENT_OCR_CANCELLED" in await owed.types(document["id"]),
    )
    assert seen in {(202, "cancelled", 409, True), (409, "completed", 200, False)}


async def test_a_recording_is_cancelled_too(
    ada: Any, owed: Any, storage: FilesystemObjectStorage, results: ResultService, engines: Any
) -> None:
    sample = (await ada.upload((await ada.project())["id"], WAV, filename="a.wav", kind="voice-samples")).json()

    cancelled = await ada.http.post(f"/v1/voice-samples/{sample['id']}/cancel")
    await results.record_completion(VoiceSample, await engines.transcribed(sample))

    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert cancelled.headers["Location"] == f"/v1/voice-samples/{sample['id']}"
    assert await owed.types(sample["id"]) == ["VOICE_TRANSCRIPTION_REQUESTED", "VOICE_TRANSCRIPTION_CANCELLED"]
    assert await storage.read(cancellation_key(sample["id"], 1)) == b""
    assert (await ada.http.get(cancelled.headers["Location"])).json()["status"] == "cancelled"


async def test_a_store_that_is_away_does_not_keep_a_run_from_being_cancelled(
    ada: Any, document: dict[str, Any], owed: Any, storage: FilesystemObjectStorage
) -> None:
    # As if the process had ended between the transaction and the marker.
    stand_in_the_way(storage)

    cancelled = await ada.http.post(f"/v1/documents/{document['id']}/cancel")

    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert await owed.types(document["id"]) == ["DOCUMENT_OCR_REQUESTED", "DOCUMENT_OCR_CANCELLED"]


async def test_who_waits_for_a_document_hears_that_it_is_cancelled(ada: Any, document: dict[str, Any]) -> None:
    path = f"/v1/documents/{document['id']}"
    waiting = asyncio.create_task(ada.http.get(path, params={"wait": 30}))

    await ada.http.post(f"{path}/cancel")

    assert (await waiting).json()["status"] == "cancelled"


@pytest.mark.parametrize("call", ["cancel", "reprocess"])
async def test_managers_change_any_run_and_contributors_their_own(
    api: Any, ada: Any, bob: Any, document: dict[str, Any], join: Any, call: str
) -> None:
    carl, eve = api.somebody(), api.somebody()
    await join(ada, document["project_id"], bob, "viewer")
    await join(ada, document["project_id"], carl, "contributor")
    own = await carl.document(document["project_id"], b"%PDF-own")
    if call == "reprocess":
        for item in (document, own):
            assert (await ada.http.post(f"/v1/documents/{item['id']}/cancel")).status_code == 202

    async def answer(who: Any, item: dict[str, Any]) -> tuple[int, str | None]:
        answer = await who.http.post(f"/v1/documents/{item['id']}/{call}")
        return answer.status_code, answer.json().get("code")

    nobody = await api.client().post(f"/v1/documents/{document['id']}/{call}")
    assert (nobody.status_code, "WWW-Authenticate" in nobody.headers) == (401, True)
    assert await answer(eve, document) == (404, "not_found")
    assert await answer(ada, {"id": new_id()}) == (404, "not_found")
    assert await answer(bob, document) == (403, "forbidden")
    assert await answer(carl, document) == (403, "forbidden")
    assert await answer(carl, own) == (202, None)
    assert await answer(ada, document) == (202, None)


@pytest.mark.parametrize(("status", "told"), [("queued", True), ("processing", True), ("completed", False)])
async def test_a_deleted_document_is_not_read_any_further(
    ada: Any,
    document: dict[str, Any],
    owed: Any,
    storage: FilesystemObjectStorage,
    results: ResultService,
    engines: Any,
    status: str,
    told: bool,
) -> None:
    if status == "processing":
        await results.record_progress(Document, engines.progressed(document, 1))
    elif status == "completed":
        await results.record_completion(Document, await engines.completed(document))

    await ada.http.delete(f"/v1/documents/{document['id']}")

    called_off = [event for event in await owed.events(document["id"]) if event["type"] == "DOCUMENT_OCR_CANCELLED"]
    assert [event["reason"] for event in called_off] == (["deleted"] if told else [])
    assert (storage._root / cancellation_key(document["id"], 1)).exists() is told
