"""A form is read as a stream, however its bytes are cut, and nothing malformed gets through."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from alta_common.errors import InvalidError, UnsupportedMediaTypeError
from alta_projects.api.multipart import MAX_FIELD_BYTES, MultipartUpload, safe_filename
from alta_projects.api.problems import MalformedUploadError

CONTENT_TYPE = "multipart/form-data; boundary=frontier"


async def in_chunks(body: bytes, size: int = 65536) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    named = f'; filename="{filename}"' if filename is not None else ""
    head = f'--frontier\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--frontier--\r\n"


async def read(body: bytes, size: int = 65536) -> tuple[str, bytes, dict[str, str]]:
    upload = MultipartUpload(CONTENT_TYPE, in_chunks(body, size))
    filename = await upload.open()
    content = b"".join([chunk async for chunk in upload.chunks()])
    return filename, content, await upload.finish()


async def test_fields_before_and_behind_the_file_are_found() -> None:
    body = form(part("language", b"en"), part("file", b"%PDF-", "a.pdf"), part("metadata", b'{"box": 12}'))

    filename, content, fields = await read(body)

    assert (filename, content) == ("a.pdf", b"%PDF-")
    assert fields == {"language": "en", "metadata": '{"box": 12}'}


@given(content=st.binary(max_size=600), size=st.integers(1, 200))
async def test_a_file_survives_whatever_it_holds_and_however_it_is_cut(content: bytes, size: int) -> None:
    tricky = content + b"\r\n--frontie" + content + b"\r\n--"
    # What holds the boundary itself is another form, and no client would choose it: content that begins with an r.
    assume(b"--frontier" not in tricky)

    _, received, _ = await read(form(part("file", tricky, "a.bin"), part("language", b"en")), size)

    assert received == tricky


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("scan.pdf", "scan.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\scan.pdf", "scan.pdf"),
        ("/absolute/scan.pdf", "scan.pdf"),
        ("Größe für Ärzte.pdf", "Größe für Ärzte.pdf"),
        ("a\u0308.pdf", "ä.pdf"),
        ("全角\u3000スペース.pdf", "全角\u3000スペース.pdf"),
        ("gnp.\u202efdp", "gnp.fdp"),
        ("a\x00b\x07c.pdf", "abc.pdf"),
        ("..", ""),
        ("folder/", ""),
        ("   ", ""),
    ],
)
def test_a_filename_is_made_safe(sent: str, kept: str) -> None:
    assert safe_filename(sent) == kept


@pytest.mark.parametrize(
    ("body", "about"),
    [
        (form(part("language", b"en")), "no file"),
        (form(part("file", b"text")), "no filename"),
        (form(part("file", b"text", "")), "no filename"),
        (form(part("file", b"one", "1.pdf"), part("file", b"two", "2.pdf")), "more than one"),
        (form(part("language", b"en"), part("language", b"de"), part("file", b"x", "x")), "twice"),
        (form(part("metadata", b"\xff\xfe"), part("file", b"x", "x")), "UTF-8"),
        (form(part("metadata", bytes(MAX_FIELD_BYTES + 1)), part("file", b"x", "x")), "bytes"),
        (form(part("file", b"x", "n" * 300)), "1 to 255"),
        (form(part("file", b"x", "..")), "1 to 255"),
    ],
)
async def test_a_wrong_form_is_refused_with_a_pointer(body: bytes, about: str) -> None:
    with pytest.raises(InvalidError, match=about) as refusal:
        await read(body)

    assert refusal.value.errors[0].pointer in {"/file", "/language", "/metadata"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not a form at all",
        part("file", b"never ends", "x.pdf"),
        part("file", b"never ends", "x.pdf")[:-2] + b"\r\n--fron",
        b"--frontier\r\nno colon here\r\n\r\nx\r\n--frontier--\r\n",
        form(part("file", b"x", "n" * 10_000)),
        b"--frontier\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(50)) + b"\r\nx\r\n--frontier--\r\n",
    ],
)
async def test_what_is_no_form_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedUploadError):
        await read(body)


@pytest.mark.parametrize(
    "content_type", [None, "", "application/json", "application/pdf", "multipart/mixed; boundary=frontier"]
)
def test_another_content_type_is_unsupported(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        MultipartUpload(content_type, in_chunks(b""))


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "x" * 71])
def test_a_missing_or_huge_boundary_is_malformed(boundary: str) -> None:
    with pytest.raises(MalformedUploadError):
        MultipartUpload("multipart/form-data" + boundary, in_chunks(b""))
