"""Uploads during which the world changes."""

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.orm import Session, SessionTransaction
from structlog.testing import capture_logs

from alta_common.db.engine import Sessions
from alta_common.storage.filesystem import FilesystemObjectStorage

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"


async def test_a_client_that_goes_away_leaves_nothing(api: Any, ada: Any, leftovers: Any) -> None:
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

    assert leftovers.files() == []
    assert await leftovers.objects(project["id"]) == []
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


async def test_an_upload_into_a_project_that_is_deleted_meanwhile_is_refused(ada: Any, leftovers: Any) -> None:
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
    assert leftovers.files() == []


async def test_a_commit_whose_answer_was_lost_keeps_the_file(
    ada: Any, leftovers: Any, storage: FilesystemObjectStorage
) -> None:
    project = await ada.project()
    ended = 0

    def lose_the_answer(_: Session, transaction: SessionTransaction) -> None:
        # The first announces the object, the second is the one that counts.
        nonlocal ended
        ended += transaction.parent is None
        if ended == 2 and transaction.parent is None:
            raise ConnectionResetError("the connection was lost after the commit")

    event.listen(Session, "after_transaction_end", lose_the_answer)
    try:
        with capture_logs() as logs:
            answer = await ada.upload(project["id"])
    finally:
        event.remove(Session, "after_transaction_end", lose_the_answer)

    assert answer.status_code == 500
    assert "request.crashed" in [line["event"] for line in logs]
    (document,) = (await ada.http.get(f"/v1/projects/{project['id']}/documents")).json()["items"]
    assert await storage.size(f"documents/{project['id']}/{document['id']}/original") == document["size_bytes"]
    assert await leftovers.objects(project["id"]) == []
