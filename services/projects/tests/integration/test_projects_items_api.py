"""Documents and voice samples over HTTP once they are there."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from alta_common.audit import AuditTrail
from alta_common.db.engine import Sessions
from alta_common.ids import new_id
from alta_common.inbox import Inbox
from alta_common.storage.filesystem import FilesystemObjectStorage
from alta_projects.application.audit import ProjectAudit
from alta_projects.application.people import PersonService
from alta_projects.application.results import ResultService
from alta_projects.models.document import Document
from alta_projects.models.voice_sample import VoiceSample

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64)


@pytest.fixture
async def viewer(ada: Any, bob: Any, document: dict[str, Any], sessions: Sessions) -> Any:
    """Somebody who may only look."""
    people = PersonService(sessions, Inbox("projects"), ProjectAudit(AuditTrail("projects")))
    await people.take_in(bob.registered())
    path = f"/v1/projects/{document['project_id']}/members"
    assert (await ada.http.post(path, json={"email": bob.email, "role": "viewer"})).status_code == 201
    return bob


@pytest.fixture
async def document(ada: Any) -> dict[str, Any]:
    return await ada.document((await ada.project())["id"], b"%PDF-1.7 " + bytes(range(256)) * 4, filename="a.pdf")


async def test_a_finished_document_shows_its_result(
    ada: Any, document: dict[str, Any], results: ResultService, engines: Any
) -> None:
    path = f"/v1/documents/{document['id']}"
    await results.record_completion(Document, await engines.completed(document, "Hello page"))

    read = (await ada.http.get(path)).json()
    canonical = await ada.http.get(f"{path}/result")
    plain = await ada.http.get(f"{path}/result", params={"format": "text"})

    assert (read["status"], read["pages"], read["engine"], read["language"]) == ("completed", 4, "rapidocr", "en")
    assert (read["confidence"], read["progress"]) == (0.91, {"done": 4, "total": 4, "unit": "page"})
    assert read["error"] is None
    assert read["completed_at"] >= read["created_at"]
    assert canonical.headers["Content-Type"] == "application/json"
    assert (canonical.json()["document_id"], canonical.json()["text"]) == (document["id"], "Hello page")
    assert canonical.json()["pages"][0]["lines"][0]["words"][0]["confidence"] is None
    assert (plain.headers["Content-Type"], plain.text) == ("text/plain; charset=utf-8", "Hello page")
    for answer, wanted in ((canonical, "json"), (plain, "text")):
        etag = {"If-None-Match": answer.headers["ETag"]}
        again = await ada.http.get(f"{path}/result", params={"format": wanted}, headers=etag)
        assert (again.status_code, again.content) == (304, b"")
    assert canonical.headers["ETag"] != plain.headers["ETag"]


async def test_a_finished_voice_sample_shows_its_transcript(ada: Any, results: ResultService, engines: Any) -> None:
    answer = await ada.upload((await ada.project())["id"], WAV, filename="a.wav", kind="voice-samples")
    path = answer.headers["Location"]
    await results.record_completion(VoiceSample, await engines.transcribed(answer.json(), "Hello there"))

    read = (await ada.http.get(path)).json()

    assert (read["status"], read["duration_ms"], read["engine"]) == ("completed", 2500, "faster-whisper")
    assert read["progress"] == {"done": 3, "total": 3, "unit": "second"}
    assert (await ada.http.get(f"{path}/result")).json()["segments"][0]["words"][0]["text"] == "Hello there"
    assert (await ada.http.get(f"{path}/result?format=text")).text == "Hello there"
    assert (await ada.http.get(f"{path}/content")).content == WAV
    assert (await ada.http.delete(path)).status_code == 204
    assert (await ada.http.get(path)).status_code == 404


async def test_there_is_no_result_before_the_end_and_none_after_a_failure(
    ada: Any, document: dict[str, Any], results: ResultService, engines: Any
) -> None:
    path = f"/v1/documents/{document['id']}"

    early = await ada.http.get(f"{path}/result")
    await results.record_failure(Document, engines.failed(document, retryable=True))
    late = await ada.http.get(f"{path}/result")

    assert (early.status_code, early.json()["code"]) == (409, "result_not_ready")
    assert "queued" in early.json()["detail"]
    assert (late.status_code, late.json()["code"]) == (409, "processing_failed")
    read = (await ada.http.get(path)).json()
    assert read["status"] == "failed"
    assert read["error"] == {"code": "corrupt_file", "detail": "The file is damaged.", "retryable": True}


@pytest.mark.parametrize("wanted", ["docx", "", "JSON"])
async def test_an_unknown_format_is_refused(ada: Any, document: dict[str, Any], wanted: str) -> None:
    refused = await ada.http.get(f"/v1/documents/{document['id']}/result", params={"format": wanted})

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/query/format"


async def test_the_original_comes_back_as_a_download(ada: Any, document: dict[str, Any]) -> None:
    path = f"/v1/documents/{document['id']}/content"

    whole = await ada.http.get(path)
    head = await ada.http.head(path)

    assert whole.status_code == head.status_code == 200
    assert len(whole.content) == document["size_bytes"]
    assert head.content == b""
    for headers in (whole.headers, head.headers):
        assert headers["Content-Type"] == "application/pdf"
        assert headers["Content-Length"] == str(document["size_bytes"])
        assert headers["Content-Disposition"] == 'attachment; filename="a.pdf"'
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "sandbox"
        assert headers["Accept-Ranges"] == "bytes"
        assert headers["ETag"] == f'"{document["sha256"]}"'


async def test_parts_of_the_original_are_served(ada: Any, document: dict[str, Any]) -> None:
    path = f"/v1/documents/{document['id']}/content"
    whole = (await ada.http.get(path)).content
    size = len(whole)

    first = await ada.http.get(path, headers={"Range": "bytes=0-8"})
    last = await ada.http.get(path, headers={"Range": "bytes=-10"})
    rest = await ada.http.get(path, headers={"Range": f"bytes={size - 5}-"})
    behind = await ada.http.get(path, headers={"Range": f"bytes={size}-"})
    stale = await ada.http.get(path, headers={"Range": "bytes=0-8", "If-Range": '"other"'})
    same = await ada.http.get(path, headers={"Range": "bytes=0-8", "If-Range": f'"{document["sha256"]}"'})
    known = await ada.http.get(path, headers={"If-None-Match": f'"{document["sha256"]}"'})

    assert (first.status_code, first.content) == (206, whole[:9])
    assert first.headers["Content-Range"] == f"bytes 0-8/{size}"
    assert (last.status_code, last.content) == (206, whole[-10:])
    assert (rest.status_code, rest.content) == (206, whole[-5:])
    assert (behind.status_code, behind.json()["code"]) == (416, "range_not_satisfiable")
    assert behind.headers["Content-Range"] == f"bytes */{size}"
    assert (stale.status_code, stale.content) == (200, whole)
    assert (same.status_code, same.content) == (206, whole[:9])
    assert (known.status_code, known.content) == (304, b"")


async def test_a_lost_original_is_a_problem_and_not_a_broken_answer(
    ada: Any, document: dict[str, Any], storage: FilesystemObjectStorage
) -> None:
    await storage.delete(f"documents/{document['project_id']}/{document['id']}/original")

    lost = await ada.http.get(f"/v1/documents/{document['id']}/content")

    assert (lost.status_code, lost.json()["code"]) == (404, "object_not_found")


async def test_the_list_has_filters(ada: Any, results: ResultService, engines: Any) -> None:
    project = await ada.project()
    path = f"/v1/projects/{project['id']}/documents"
    letters = await ada.document(project["id"], b"%PDF-1", filename="Letters_50%.pdf")
    births = await ada.document(project["id"], b"%PDF-2", filename="births.pdf")
    await ada.upload(project["id"], WAV, filename="births.wav", kind="voice-samples")
    await results.record_completion(Document, await engines.completed(letters))
    await results.record_progress(Document, engines.progressed(births, 1))

    async def ids(**params: Any) -> list[str]:
        answer = await ada.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    assert await ids() == [births["id"], letters["id"]]
    assert await ids(status="completed") == [letters["id"]]
    assert await ids(status=["completed", "processing"]) == [births["id"], letters["id"]]
    assert await ids(status="failed") == []
    assert await ids(q="LETT") == [letters["id"]]
    assert await ids(q="50%.") == [letters["id"]]
    assert await ids(q="_") == [letters["id"]]
    assert await ids(created_after=letters["created_at"]) == [births["id"]]
    assert await ids(created_after=(datetime.now(UTC) + timedelta(hours=1)).isoformat()) == []


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"status": "done"}, "/query/status/0"),
        ({"created_after": "yesterday"}, "/query/created_after"),
        ({"created_after": "2026-01-01T00:00:00"}, "/query/created_after"),
        ({"created_after": "2026"}, "/query/created_after"),
        ({"created_after": "0001-01-01T00:00:00+14:00"}, "/query/created_after"),
        ({"created_after": "9999-12-31T23:59:59-12:00"}, "/query/created_after"),
        ({"q": "\x00"}, "/query/q"),
        ({"q": ""}, "/query/q"),
        ({"limit": "many"}, "/query/limit"),
        ({"cursor": "e30"}, "/query/cursor"),
    ],
)
async def test_a_wrong_filter_is_refused(
    ada: Any, document: dict[str, Any], params: dict[str, str], pointer: str
) -> None:
    refused = await ada.http.get(f"/v1/projects/{document['project_id']}/documents", params=params)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer


async def test_the_list_goes_on_where_the_page_ended(ada: Any) -> None:
    project = await ada.project()
    path = f"/v1/projects/{project['id']}/documents"
    made = [await ada.document(project["id"], b"%%PDF-%d" % number) for number in range(5)]

    first = (await ada.http.get(path, params={"limit": 3})).json()
    await ada.document(project["id"], b"%PDF-later")
    second = (await ada.http.get(path, params={"limit": 3, "cursor": first["next_cursor"]})).json()

    assert [one["id"] for one in first["items"] + second["items"]] == [one["id"] for one in reversed(made)]
    assert second["next_cursor"] is None


async def test_an_unchanged_document_is_not_sent_again(
    ada: Any, document: dict[str, Any], results: ResultService, engines: Any
) -> None:
    path = f"/v1/documents/{document['id']}"
    etag = (await ada.http.get(path)).headers["ETag"]

    same = await ada.http.get(path, headers={"If-None-Match": etag})
    await results.record_progress(Document, engines.progressed(document, 1))
    changed = await ada.http.get(path, headers={"If-None-Match": etag})

    assert (same.status_code, changed.status_code) == (304, 200)


async def test_strangers_see_nothing_and_viewers_change_nothing(
    api: Any, viewer: Any, document: dict[str, Any]
) -> None:
    stranger = api.somebody()
    path = f"/v1/documents/{document['id']}"

    for refused in (
        await stranger.http.get(path),
        await stranger.http.get(path, params={"wait": 1}),
        await stranger.http.get(f"{path}/content"),
        await stranger.http.get(f"{path}/result"),
        await stranger.http.delete(path),
        await stranger.http.get(f"/v1/projects/{document['project_id']}/documents"),
        await viewer.http.get(f"/v1/documents/{new_id()}"),
        await viewer.http.get(f"/v1/voice-samples/{document['id']}"),
    ):
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert (await viewer.http.get(path)).status_code == 200
    assert (await viewer.http.get(f"{path}/content")).status_code == 200
    assert (await viewer.http.delete(path)).status_code == 403


async def test_contributors_delete_their_own_documents_only(ada: Any, viewer: Any, document: dict[str, Any]) -> None:
    members = f"/v1/projects/{document['project_id']}/members"
    await ada.http.patch(f"{members}/{viewer.user_id}", json={"role": "contributor"})
    own = await viewer.document(document["project_id"], b"%PDF-own")

    assert (await viewer.http.delete(f"/v1/documents/{document['id']}")).status_code == 403
    assert (await viewer.http.delete(f"/v1/documents/{own['id']}")).status_code == 204
    assert (await ada.http.delete(f"/v1/documents/{document['id']}")).status_code == 204


async def test_a_deleted_document_is_gone_and_noted(ada: Any, document: dict[str, Any], sessions: Sessions) -> None:
    path = f"/v1/documents/{document['id']}"

    deleted = await ada.http.delete(path)

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await ada.http.get(path)).status_code == 404
    assert (await ada.http.delete(path)).status_code == 404
    async with sessions() as session:
        noted = await AuditTrail("projects").list(session, stream=UUID(document["project_id"]))
    assert noted[0].entry.action == "document.deleted"


async def test_lists_have_versions_too(ada: Any, document: dict[str, Any]) -> None:
    project = f"/v1/projects/{document['project_id']}"
    for path in ("/v1/projects", f"{project}/members", f"{project}/documents", f"{project}/voice-samples"):
        first = await ada.http.get(path)
        again = await ada.http.get(path, headers={"If-None-Match": first.headers["ETag"]})

        assert (first.status_code, first.headers["Cache-Control"]) == (200, "private, no-cache")
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
