"""Uploads that are refused, as early as can be, and of which nothing is left."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from alta_common.ids import new_id

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64)
MAX_BYTES = 300_000
FILE = 'Content-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n%PDF-1.7 content'


def form(*parts: str) -> bytes:
    return "".join(f"--b\r\n{part}\r\n" for part in parts).encode() + b"--b--\r\n"


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
    ada: Any, leftovers: Any, content: bytes, kind: str, found: str
) -> None:
    project = await ada.project()

    refused = await ada.upload(project["id"], content, filename="scan.pdf", kind=kind)

    assert refused.status_code == 415
    assert refused.json()["code"] == "unsupported_media_type"
    assert found in refused.json()["detail"]
    assert leftovers.files() == []
    assert await leftovers.objects(project["id"]) == []
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


async def test_an_empty_file_is_refused(ada: Any, leftovers: Any) -> None:
    project = await ada.project()

    refused = await ada.upload(project["id"], b"")

    assert (refused.status_code, refused.json()["code"]) == (400, "empty_file")
    assert leftovers.files() == []


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
async def test_the_limit_holds_without_an_announced_size(ada: Any, leftovers: Any, size: int, status: int) -> None:
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
    assert len(leftovers.files()) == (1 if status == 202 else 0)
    assert await leftovers.objects(project["id"]) == []


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
    leftovers: Any,
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
    assert leftovers.files() == []
    assert await leftovers.objects(project["id"]) == []


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
async def test_a_wrong_field_is_refused(ada: Any, leftovers: Any, data: dict[str, str], pointer: str) -> None:
    project = await ada.project()

    refused = await ada.upload(project["id"], data=data)

    assert refused.status_code == 422, refused.text
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]
    assert leftovers.files() == []


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


async def test_uploading_into_nowhere_is_not_found(ada: Any) -> None:
    refused = await ada.upload(str(new_id()))

    assert refused.status_code == 404
