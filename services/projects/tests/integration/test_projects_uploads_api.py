"""Uploads over HTTP: what is taken in, and what the same bytes give back."""

import asyncio
import hashlib
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from alta_common.audit import AuditTrail
from alta_common.db.engine import Sessions
from alta_common.storage.filesystem import FilesystemObjectStorage

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64)


async def requests_of(sessions: Sessions, item_id: str) -> list[Any]:
    async with sessions() as session:
        query = text("SELECT event_type, body FROM projects.outbox_event WHERE aggregate_id = :item_id")
        return list(await session.execute(query, {"item_id": item_id}))


async def test_a_document_is_taken_in(
    ada: Any, leftovers: Any, storage: FilesystemObjectStorage, sessions: Sessions
) -> None:
    project = await ada.project()

    taken = await ada.upload(
        project["id"],
        PDF,
        filename="Größe.pdf",
        data={"metadata": '{"box": 12}', "language": "de", "engine": "local"},
    )

    assert taken.status_code == 202
    document = taken.json()
    assert taken.headers["Location"] == f"/v1/documents/{document['id']}"
    assert UUID(document["id"]).version == 7
    assert {name: document[name] for name in ("filename", "content_type", "size_bytes", "sha256", "status")} == {
        "filename": "Größe.pdf",
        "content_type": "application/pdf",
        "size_bytes": len(PDF),
        "sha256": hashlib.sha256(PDF).hexdigest(),
        "status": "queued",
    }
    assert document["progress"] == {"done": 0, "total": None, "unit": "page"}
    assert (document["metadata"], document["language"], document["engine"]) == ({"box": 12}, "de", "local")
    assert (document["created_by"], document["error"], document["pages"]) == (str(ada.user_id), None, None)
    assert (await ada.http.get(taken.headers["Location"])).json() == document
    key = f"documents/{project['id']}/{document['id']}/original"
    assert await storage.read(key) == PDF
    ((event_type, body),) = await requests_of(sessions, document["id"])
    assert event_type == "DOCUMENT_OCR_REQUESTED"
    requested = orjson.loads(body)["data"]
    assert (requested["object_key"], requested["attempt"], requested["sha256"]) == (key, 1, document["sha256"])
    async with sessions() as session:
        noted = await AuditTrail("projects").list(session, stream=UUID(project["id"]))
    assert (noted[0].entry.action, str(noted[0].entry.subject_id)) == ("document.uploaded", document["id"])
    assert await leftovers.objects(project["id"]) == []


async def test_a_voice_sample_is_taken_in(ada: Any, sessions: Sessions) -> None:
    project = await ada.project()

    taken = await ada.upload(project["id"], WAV, filename="a.wav", kind="voice-samples", params={"language": "en"})

    assert taken.status_code == 202
    sample = taken.json()
    assert taken.headers["Location"] == f"/v1/voice-samples/{sample['id']}"
    assert (sample["content_type"], sample["language"], sample["duration_ms"]) == ("audio/wav", "en", None)
    assert sample["progress"]["unit"] == "second"
    assert "pages" not in sample
    assert [event.event_type for event in await requests_of(sessions, sample["id"])] == [
        "VOICE_TRANSCRIPTION_REQUESTED"
    ]
    assert (await ada.http.get(f"/v1/documents/{sample['id']}")).status_code == 404


async def test_the_request_can_be_traced_to_its_event(ada: Any, sessions: Sessions) -> None:
    project = await ada.project()
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    context = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01", "X-Request-ID": "upload-1"}

    taken = await ada.upload(project["id"], headers=context)

    assert taken.headers["X-Request-ID"] == "upload-1"
    ((_, body),) = await requests_of(sessions, taken.json()["id"])
    envelope = orjson.loads(body)
    assert envelope["traceparent"].split("-")[1] == trace_id
    assert envelope["correlationid"] == "upload-1"


async def test_the_content_decides_and_not_the_name(ada: Any) -> None:
    project = await ada.project()

    document = await ada.document(project["id"], PNG, filename="really-a-picture.pdf")

    assert (document["content_type"], document["filename"]) == ("image/png", "really-a-picture.pdf")


async def test_a_path_is_no_name(ada: Any) -> None:
    project = await ada.project()

    document = await ada.document(project["id"], filename="../../etc/passwd.pdf")

    assert document["filename"] == "passwd.pdf"


async def test_the_same_bytes_give_the_first_document_back(ada: Any, leftovers: Any, sessions: Sessions) -> None:
    project = await ada.project()
    first = await ada.document(project["id"], filename="first.pdf")

    again = await ada.upload(project["id"], filename="second.pdf")

    assert again.status_code == 200
    assert again.json() == first
    assert again.headers["Content-Location"] == f"/v1/documents/{first['id']}"
    assert "Location" not in again.headers
    assert len(leftovers.files()) == 1
    assert len(await requests_of(sessions, first["id"])) == 1
    assert await leftovers.objects(project["id"]) == []


async def test_a_copy_is_made_when_asked_for(ada: Any, leftovers: Any) -> None:
    project = await ada.project()
    first = await ada.document(project["id"])

    copy = await ada.upload(project["id"], params={"allow_duplicate": "true"})
    third = await ada.upload(project["id"])

    assert copy.status_code == 202
    assert copy.json()["id"] != first["id"]
    assert (third.status_code, third.json()["id"]) == (200, first["id"])
    assert len(leftovers.files()) == 2


async def test_a_copy_stands_in_when_the_first_is_gone(ada: Any) -> None:
    project = await ada.project()
    first = await ada.document(project["id"])
    copy = await ada.document(project["id"], params={"allow_duplicate": "true"})
    await ada.http.delete(f"/v1/documents/{first['id']}")

    again = await ada.upload(project["id"])

    assert (again.status_code, again.json()["id"]) == (200, copy["id"])


async def test_the_same_bytes_in_another_project_are_another_document(ada: Any) -> None:
    one, other = await ada.project(), await ada.project()

    first = await ada.document(one["id"])
    second = await ada.document(other["id"])

    assert first["id"] != second["id"]


async def test_of_equal_uploads_at_once_one_becomes_the_document(ada: Any, leftovers: Any) -> None:
    project = await ada.project()

    answers = await asyncio.gather(*(ada.upload(project["id"], filename=f"{n}.pdf") for n in range(6)))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 200, 202]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(leftovers.files()) == 1
    assert await leftovers.objects(project["id"]) == []
