"""Reading items again, and every result that they have had."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from alta_common.db.engine import Sessions
from alta_common.ids import new_id
from alta_projects.application.results import ResultService
from alta_projects.models.document import Document
from alta_projects.models.voice_sample import VoiceSample

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64)


@pytest.fixture
async def document(ada: Any, results: ResultService, engines: Any) -> dict[str, Any]:
    """A document that has been read once."""
    document = await ada.document((await ada.project())["id"], params={"language": "de"})
    await results.record_completion(Document, await engines.completed(document, "first", language="de"))
    return (await ada.http.get(f"/v1/documents/{document['id']}")).json()


async def again(ada: Any, document: dict[str, Any], body: Any = None, **headers: str) -> Any:
    return await ada.http.post(f"/v1/documents/{document['id']}/reprocess", json=body or {}, headers=headers)


async def text_of(ada: Any, document: dict[str, Any], **params: Any) -> str:
    path = f"/v1/documents/{document['id']}/result"
    answer = await ada.http.get(path, params={"format": "text", **params})
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_a_document_is_read_again_by_another_engine(
    ada: Any, document: dict[str, Any], owed: Any, audited: Any
) -> None:
    answer = await again(ada, document, {"engine": "google"})

    body = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/v1/documents/{document['id']}")
    assert (body["status"], body["attempt"], body["engine"], body["language"]) == ("queued", 2, "documentai", "de")
    assert (body["revision"], body["confidence"], body["completed_at"], body["warnings"]) == (1, None, None, [])
    assert body["progress"] == {"done": 0, "total": None, "unit": "page"}
    assert body["deadline_at"] > document["deadline_at"]
    request = (await owed.events(document["id"]))[-1]
    assert (request["type"], request["attempt"]) == ("DOCUMENT_OCR_REQUESTED", 2)
    assert (request["engine"], request["language"]) == ("documentai", "de")
    action, details = (await audited.of(document["id"]))[-1]
    assert (action, details["attempt"], details["engine"]) == ("document.reprocessed", 2, "documentai")


async def test_the_last_result_stays_until_there_is_a_new_one(
    ada: Any, document: dict[str, Any], results: ResultService, engines: Any
) -> None:
    path = f"/v1/documents/{document['id']}"
    second = (await again(ada, document)).json()
    assert await text_of(ada, document) == "first"
    for wanted in ("json", "markdown", "hocr", "alto"):
        assert (await ada.http.get(f"{path}/result", params={"format": wanted})).status_code == 200

    await results.record_failure(Document, engines.failed(second))

    failed = (await ada.http.get(path)).json()
    assert (failed["status"], failed["error"]["code"], failed["revision"]) == ("failed", "corrupt_file", 1)
    assert await text_of(ada, document) == "first"
    third = (await again(ada, document)).json()
    assert third["error"] is None
    await results.record_completion(Document, await engines.completed(third, "third"))
    read = (await ada.http.get(path)).json()
    assert (read["status"], read["attempt"], read["revision"]) == ("completed", 3, 2)
    assert await text_of(ada, document) == "third"


async def test_every_revision_can_be_read_and_says_which_it_is(
    ada: Any, document: dict[str, Any], results: ResultService, engines: Any
) -> None:
    path = f"/v1/documents/{document['id']}"
    second = (await again(ada, document, {"engine": "documentai"})).json()
    by_google = {"engine_name": "documentai", "engine_version": "2", "engine_config_hash": "ab", "confidence": 0.99}
    await results.record_completion(Document, await engines.completed(second, "second", **by_google))

    listed = await ada.http.get(f"{path}/revisions")
    numbers = {}
    for number in (1, 2):
        numbers[number] = await ada.http.get(f"{path}/result", params={"revision": number})
    last = await ada.http.get(f"{path}/result")

    newest, oldest = listed.json()["items"]
    assert newest["engine"] == {"name": "documentai", "version": "2", "config_hash": "ab"}
    assert (newest["revision"], newest["attempt"], newest["confidence"]) == (2, 2, 0.99)
    assert (oldest["revision"], oldest["attempt"], oldest["language"], oldest["pages"]) == (1, 1, "de", 4)
    assert oldest["engine"] == {"name": "rapidocr", "version": "3.10", "config_hash": None}
    assert oldest["created_at"] < newest["created_at"]
    assert [numbers[number].json()["revision"] for number in (1, 2)] == [1, 2]
    assert [numbers[number].json()["text"] for number in (1, 2)] == ["first", "second"]
    assert last.content == numbers[2].content
    assert last.headers["ETag"] == numbers[2].headers["ETag"] != numbers[1].headers["ETag"]
    assert await text_of(ada, document, revision=1) == "first"
    assert (
        await ada.http.get(f"{path}/revisions", headers={"If-None-Match": listed.headers["ETag"]})
    ).status_code == 304
    known = {"If-None-Match": numbers[1].headers["ETag"]}
    assert (await ada.http.get(f"{path}/result", params={"revision": 1}, headers=known)).status_code == 304


async def test_the_list_of_revisions_goes_on_where_the_page_ended(
    ada: Any, document: dict[str, Any], results: ResultService, engines: Any
) -> None:
    path = f"/v1/documents/{document['id']}/revisions"
    for _ in range(2):
        await results.record_completion(Document, await engines.completed((await again(ada, document)).json()))

    first = (await ada.http.get(path, params={"limit": 2})).json()
    second = (await ada.http.get(path, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    wrong = await ada.http.get(path, params={"cursor": "eyJiZWZvcmUiOiJ4In0"})

    assert [one["revision"] for one in first["items"] + second["items"]] == [3, 2, 1]
    assert second["next_cursor"] is None
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_cursor")


@pytest.mark.parametrize(("revision", "status"), [("2", 404), ("0", 422), ("-1", 422), ("x", 422), ("9" * 30, 422)])
async def test_there_is_no_other_revision(ada: Any, document: dict[str, Any], revision: str, status: int) -> None:
    answer = await ada.http.get(f"/v1/documents/{document['id']}/result", params={"revision": revision})

    assert answer.status_code == status
    assert answer.json()["code"] == ("revision_not_found" if status == 404 else answer.json()["code"])


async def test_revisions_are_for_members_only(
    api: Any, ada: Any, bob: Any, document: dict[str, Any], join: Any
) -> None:
    await join(ada, document["project_id"], bob, "viewer")

    for path in (f"/v1/documents/{document['id']}/revisions", f"/v1/documents/{document['id']}/result?revision=1"):
        assert (await bob.http.get(path)).status_code == 200
        assert (await api.somebody().http.get(path)).status_code == 404
        assert (await api.client().get(path)).status_code == 401


async def test_a_late_answer_of_the_run_before_is_thrown_away(
    ada: Any, results: ResultService, engines: Any, sessions: Sessions
) -> None:
    first = await ada.document((await ada.project())["id"])
    await ada.http.post(f"/v1/documents/{first['id']}/cancel")
    second = (await again(ada, first)).json()
    late = await engines.completed(first, "late")

    await results.record_progress(Document, engines.progressed(first, 3))
    await results.record_failure(Document, engines.failed(first))
    await results.record_completion(Document, late)

    assert (await ada.http.get(f"/v1/documents/{first['id']}")).json() == second
    async with sessions() as session:
        swept = (await session.execute(text("SELECT object_key FROM projects.unclaimed_object"))).scalars().all()
    assert late.result_key in swept


async def test_an_earlier_revision_told_once_more_is_kept(
    ada: Any, document: dict[str, Any], results: ResultService, engines: Any, sessions: Sessions
) -> None:
    second = (await again(ada, document)).json()
    await results.record_completion(Document, await engines.completed(second, "second"))
    replayed = (await engines.completed(document, "first")).model_copy(update={"event_id": new_id()})

    await results.record_completion(Document, replayed)

    assert await text_of(ada, document) == "second"
    assert await text_of(ada, document, revision=1) == "first"
    async with sessions() as session:
        swept = (await session.execute(text("SELECT object_key FROM projects.unclaimed_object"))).scalars().all()
    assert replayed.result_key not in swept


async def test_a_run_must_end_before_the_next(ada: Any, document: dict[str, Any], owed: Any) -> None:
    answers = await asyncio.gather(*(again(ada, document) for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409]
    refused = next(answer.json() for answer in answers if answer.status_code == 409)
    assert refused["code"] == "still_processing"
    assert "cancel" in refused["detail"]
    assert (await owed.types(document["id"])).count("DOCUMENT_OCR_REQUESTED") == 2
    await ada.http.post(f"/v1/documents/{document['id']}/cancel")
    assert (await again(ada, document)).json()["attempt"] == 3


async def test_the_same_request_twice_begins_one_run(ada: Any, document: dict[str, Any], owed: Any) -> None:
    key = {
        "Idempotency-Key": str(new_id()),
        "If-Match": (await ada.http.get(f"/v1/documents/{document['id']}")).headers["ETag"],
    }

    first = await again(ada, document, {"language": "fr"}, **key)
    replayed = await again(ada, document, {"language": "fr"}, **key)
    other = await again(ada, document, {"language": "it"}, **key)

    assert (first.status_code, replayed.status_code) == (202, 202)
    assert (replayed.headers["Idempotency-Replayed"], replayed.content) == ("true", first.content)
    assert replayed.headers["ETag"] == first.headers["ETag"]
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await owed.types(document["id"])).count("DOCUMENT_OCR_REQUESTED") == 2


async def test_who_has_an_older_version_is_told(ada: Any, document: dict[str, Any]) -> None:
    stale = await again(ada, document, **{"If-Match": '"1"'})
    current = (await ada.http.get(f"/v1/documents/{document['id']}")).headers["ETag"]

    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert (await again(ada, document, **{"If-Match": current})).status_code == 202


async def test_what_is_left_out_stays_and_null_is_the_projects_choice(
    ada: Any, document: dict[str, Any], results: ResultService, engines: Any, owed: Any
) -> None:
    settings = {"settings": {"documents": {"engine": "documentai", "language": "la"}}}
    await ada.http.patch(f"/v1/projects/{document['project_id']}", json=settings)
    asked = []

    for body in ({}, {"engine": "local"}, {"language": None}, {"engine": None}):
        answer = (await again(ada, document, body)).json()
        await results.record_completion(Document, await engines.completed(answer))
        request = (await owed.events(document["id"]))[-1]
        asked.append((request["engine"], request["language"]))

    assert asked == [("documentai", "de"), ("local", "de"), ("local", "la"), ("documentai", "la")]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"engine": "tesseract"}', "/engine"),
        (b'{"engine": "google-speech"}', "/engine"),
        (b'{"engine": ""}', "/engine"),
        (b'{"engine": 1}', "/engine"),
        (b'{"language": "english!"}', "/language"),
        (b'{"language": "' + b"de-" * 20 + b'AT"}', "/language"),
        (b'{"force": true}', "/force"),
        (b"[]", ""),
    ],
)
async def test_a_wrong_wish_is_refused(ada: Any, document: dict[str, Any], body: bytes, pointer: str) -> None:
    refused = await ada.send(f"/v1/documents/{document['id']}/reprocess", body, "application/json")

    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"] == pointer
    assert (await ada.http.get(f"/v1/documents/{document['id']}")).json()["attempt"] == 1


async def test_no_body_at_all_asks_for_the_same_once_more(ada: Any, document: dict[str, Any]) -> None:
    answer = await ada.http.post(f"/v1/documents/{document['id']}/reprocess")

    assert (answer.status_code, answer.json()["attempt"], answer.json()["language"]) == (202, 2, "de")


async def test_a_recording_is_transcribed_again(ada: Any, results: ResultService, engines: Any, owed: Any) -> None:
    sample = (await ada.upload((await ada.project())["id"], WAV, filename="a.wav", kind="voice-samples")).json()
    path = f"/v1/voice-samples/{sample['id']}"
    await results.record_completion(VoiceSample, await engines.transcribed(sample, "first"))

    second = await ada.http.post(f"{path}/reprocess", json={"engine": "google", "language": "de-CH"})
    await results.record_completion(VoiceSample, await engines.transcribed(second.json(), "second"))

    assert (second.status_code, second.json()["engine"], second.json()["language"]) == (202, "google-speech", "de-CH")
    assert (await owed.events(sample["id"]))[-1]["engine"] == "google-speech"
    revisions = (await ada.http.get(f"{path}/revisions")).json()["items"]
    assert [(one["revision"], one["duration_ms"]) for one in revisions] == [(2, 2500), (1, 2500)]
    last = (await ada.http.get(f"{path}/result")).json()
    assert (last["revision"], last["text"]) == (2, "second")
    assert (await ada.http.get(f"{path}/result", params={"revision": 1, "format": "srt"})).text.count("first") == 1
