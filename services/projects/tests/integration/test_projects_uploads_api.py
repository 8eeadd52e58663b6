"""Uploads over HTTP: what is taken in, what is refused, and that nothing of a refusal is left."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlalchemy import text

from alta_common.audit import AuditTrail
from alta_common.db.engine import Sessions
from alta_common.ids import new_id
from alta_common.storage.filesystem import FilesystemObjectStorage

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64)
MAX_BYTES = 300_000


def stored_files(storage: FilesystemObjectStorage) -> list[Path]:
    return [path for path in storage._root.rglob("*") if path.is_file()]


async def waiting_objects(sessions: Sessions, project_id: str) -> list[str]:
    """What the sweep would look after."""
    async with sessions() as session:
        query = text("SELECT object_key FROM projects.unclaimed_object WHERE object_key LIKE :pattern")
        return list((await session.execute(query, {"pattern": f"%/{project_id}/%"})).scalars())


async def requests_of(sessions: Sessions, item_id: str) -> list[Any]:
    async with sessions() as session:
        query = text("SELECT event_type, body FROM projects.outbox_event WHERE aggregate_id = :item_id")
        return list(await session.execute(query, {"item_id": item_id}))


async def test_a_document_is_taken_in(ada: Any, storage: FilesystemObjectStorage, sessions: Sessions) -> None:
    project = await ada.project()

    taken = await ada.upload(
        project["id"],
        PDF,
        filename="Größe.pdf",
        data={"metadata": '{"box": 12}', "language": "de", "engine": "rapidocr"},
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
    assert (document["metadata"], document["language"], document["engine"]) == ({"box": 12}, "de", "rapidocr")
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
    assert await waiting_objects(sessions, project["id"]) == []


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


@pytest.mark.parametrize(
    ("content", "kind", "found"),
    [
        (b"Just a letter, no PDF at all.\n" * 50, "documents", "plain text"),
        (b"PK\x03\x04\x14\x00" + bytes(200), "documents", "application/zip"),
        (b"<html><script>alert(1)</script></html>", "documents", "HTML"),
        (b" " * 900 + PDF, "documents", "plain text"),
        (WAV, "documents", "audio/x-wav"),
        (PDF, "voice-samples", "application/pdf"),
        (b"#EXTM3U\nhttp://169.254.169.254/", "voice-samples", "plain text"),
    ],
)
async def test_a_file_of_another_kind_is_refused_by_name(
    ada: Any, storage: FilesystemObjectStorage, sessions: Sessions, content: bytes, kind: str, found: str
) -> None:
    project = await ada.project()

    refused = await ada.upload(project["id"], content, filename="scan.pdf", kind=kind)

    assert refused.status_code == 415
    assert refused.json()["code"] == "unsupported_media_type"
    assert found in refused.json()["detail"]
    assert stored_files(storage) == []
    assert await waiting_objects(sessions, project["id"]) == []
    assert (await ada.http.get(f"/v1/projects/{project['id']}/{kind}")).json()["items"] == []


async def test_an_unsupported_file_is_refused_before_it_has_been_read(ada: Any) -> None:
    project = await ada.project()
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
        for _ in range(1000):
            sent += 1
            yield b"text " * 1000

    refused = await ada.http.post(
        f"/v1/projects/{project['id']}/documents",
        content=endless(),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )

    assert refused.status_code == 415
    assert sent < 5


async def test_an_empty_file_is_refused(ada: Any, storage: FilesystemObjectStorage) -> None:
    project = await ada.project()

    refused = await ada.upload(project["id"], b"")

    assert (refused.status_code, refused.json()["code"]) == (400, "empty_file")
    assert stored_files(storage) == []


async def test_an_announced_size_beyond_the_limit_is_refused_unread(ada: Any) -> None:
    project = await ada.project()

    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    refused = await ada.http.post(
        f"/v1/projects/{project['id']}/documents",
        content=never(),
        headers={"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(200 * 1024**2)},
    )

    assert (refused.status_code, refused.json()["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize(("size", "status"), [(MAX_BYTES, 202), (MAX_BYTES + 1, 413)])
async def test_the_limit_holds_without_an_announced_size(
    ada: Any, storage: FilesystemObjectStorage, sessions: Sessions, size: int, status: int
) -> None:
    project = await ada.project()

    async def chunked() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
        content = PDF + bytes(size - len(PDF))
        for start in range(0, size, 50_000):
            yield content[start : start + 50_000]
        yield b"\r\n--b--\r\n"

    answer = await ada.http.post(
        f"/v1/projects/{project['id']}/documents",
        content=chunked(),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )

    assert answer.status_code == status, answer.text
    assert len(stored_files(storage)) == (1 if status == 202 else 0)
    assert await waiting_objects(sessions, project["id"]) == []


def form(*parts: str) -> bytes:
    return "".join(f"--b\r\n{part}\r\n" for part in parts).encode() + b"--b--\r\n"


FILE = 'Content-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n%PDF-1.7 content'


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code", "pointer"),
    [
        ("application/pdf", PDF, 415, "unsupported_media_type", None),
        ("multipart/form-data", form(FILE), 400, "malformed_multipart", None),
        ("multipart/form-data; boundary=other", form(FILE), 400, "malformed_multipart", None),
        ("multipart/form-data; boundary=b", b"", 400, "malformed_multipart", None),
        ("multipart/form-data; boundary=b", form(FILE)[:-6], 400, "malformed_multipart", None),
        ("multipart/form-data; boundary=b", form(), 422, "invalid_request", "/file"),
        ("multipart/form-data; boundary=b", form(FILE, FILE), 422, "invalid_request", "/file"),
        ("multipart/form-data; boundary=b", form(FILE.replace("a.pdf", "n" * 300)), 422, "invalid_request", "/file"),
        ("multipart/form-data; boundary=b", form(FILE.replace("a.pdf", "n" * 9000)), 400, "malformed_multipart", None),
    ],
)
async def test_a_wrong_form_is_refused(
    ada: Any,
    storage: FilesystemObjectStorage,
    sessions: Sessions,
    content_type: str,
    body: bytes,
    status: int,
    code: str,
    pointer: str | None,
) -> None:
    project = await ada.project()

    refused = await ada.send(f"/v1/projects/{project['id']}/documents", body, content_type)

    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert [error["pointer"] for error in refused.json().get("errors", [])] == ([pointer] if pointer else [])
    assert stored_files(storage) == []
    assert await waiting_objects(sessions, project["id"]) == []


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({"metadata": "{"}, "/metadata"),
        ({"metadata": "[1]"}, "/metadata"),
        ({"metadata": '"text"'}, "/metadata"),
        ({"metadata": '{"a": NaN}'}, "/metadata"),
        ({"metadata": '{"a": "\\u0000"}'}, "/metadata"),
        ({"metadata": '{"a": "\\ud800"}'}, "/metadata"),
        ({"metadata": '{"a": "' + "x" * 17_000 + '"}'}, "/metadata"),
        ({"metadata": '{"a":' * 2000 + "1" + "}" * 2000}, "/metadata"),
        ({"language": "not a language"}, "/language"),
        ({"language": "en\n"}, "/language"),
        ({"engine": "../engine"}, "/engine"),
        ({"color": "red"}, "/color"),
    ],
)
async def test_a_wrong_field_is_refused(
    ada: Any, storage: FilesystemObjectStorage, data: dict[str, str], pointer: str
) -> None:
    project = await ada.project()

    refused = await ada.upload(project["id"], data=data)

    assert refused.status_code == 422, refused.text
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]
    assert stored_files(storage) == []


async def test_a_wrong_query_is_refused(ada: Any) -> None:
    project = await ada.project()

    refused = await ada.upload(project["id"], params={"language": "?"})

    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/query/language")


async def test_strangers_and_viewers_are_refused_unread(ada: Any, bob: Any) -> None:
    project = await ada.project()

    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    refused = await bob.http.post(
        f"/v1/projects/{project['id']}/documents",
        content=never(),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )

    assert refused.status_code == 404


async def test_the_same_bytes_give_the_first_document_back(
    ada: Any, storage: FilesystemObjectStorage, sessions: Sessions
) -> None:
    project = await ada.project()
    first = await ada.document(project["id"], filename="first.pdf")

    again = await ada.upload(project["id"], filename="second.pdf")

    assert again.status_code == 200
    assert again.json() == first
    assert again.headers["Content-Location"] == f"/v1/documents/{first['id']}"
    assert "Location" not in again.headers
    assert len(stored_files(storage)) == 1
    assert len(await requests_of(sessions, first["id"])) == 1
    assert await waiting_objects(sessions, project["id"]) == []


async def test_a_copy_is_made_when_asked_for(ada: Any, storage: FilesystemObjectStorage) -> None:
    project = await ada.project()
    first = await ada.document(project["id"])

    copy = await ada.upload(project["id"], params={"allow_duplicate": "true"})
    third = await ada.upload(project["id"])

    assert copy.status_code == 202
    assert copy.json()["id"] != first["id"]
    assert (third.status_code, third.json()["id"]) == (200, first["id"])
    assert len(stored_files(storage)) == 2


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


async def test_of_equal_uploads_at_once_one_becomes_the_document(
    ada: Any, storage: FilesystemObjectStorage, sessions: Sessions
) -> None:
    project = await ada.project()

    answers = await asyncio.gather(*(ada.upload(project["id"], filename=f"{n}.pdf") for n in range(6)))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 200, 202]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(stored_files(storage)) == 1
    assert await waiting_objects(sessions, project["id"]) == []


async def test_a_client_that_goes_away_leaves_nothing(
    api: Any, ada: Any, storage: FilesystemObjectStorage, sessions: Sessions
) -> None:
    project = await ada.project()
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n' + PDF * 2000
    messages = [
        {"type": "http.request", "body": head, "more_body": True},
        {"type": "http.request", "body": PDF * 2000, "more_body": True},
        {"type": "http.disconnect"},
    ]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": f"/v1/projects/{project['id']}/documents",
        "raw_path": b"",
        "query_string": b"",
        "headers": [
            (b"content-type", b"multipart/form-data; boundary=b"),
            (b"authorization", ada.http.headers["Authorization"].encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("projects", 80),
    }

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(_: Any) -> None:
        return None

    await api.app(scope, receive, send)

    assert stored_files(storage) == []
    assert await waiting_objects(sessions, project["id"]) == []
    assert (await ada.http.get(f"/v1/projects/{project['id']}/documents")).json()["items"] == []


async def test_an_object_that_the_sweep_has_taken_is_no_document(ada: Any, sessions: Sessions) -> None:
    project = await ada.project()

    async def slow() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n' + PDF
        async with sessions.begin() as session:
            await session.execute(text("DELETE FROM projects.unclaimed_object"))
        yield b"\r\n--b--\r\n"

    refused = await ada.http.post(
        f"/v1/projects/{project['id']}/documents",
        content=slow(),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )

    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert (await ada.http.get(f"/v1/projects/{project['id']}/documents")).json()["items"] == []


async def test_an_upload_into_a_project_that_is_deleted_meanwhile_is_refused(
    ada: Any, storage: FilesystemObjectStorage
) -> None:
    project = await ada.project()

    async def slow() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n' + PDF
        await ada.http.delete(f"/v1/projects/{project['id']}")
        yield b"\r\n--b--\r\n"

    refused = await ada.http.post(
        f"/v1/projects/{project['id']}/documents",
        content=slow(),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )

    assert refused.status_code == 404
    assert stored_files(storage) == []


async def test_uploading_into_nowhere_is_not_found(ada: Any) -> None:
    refused = await ada.upload(str(new_id()))

    assert refused.status_code == 404
