"""Results over HTTP in every format."""

import io
from html import unescape
from typing import Any

import pytest
import srt
import webvtt
from lxml import etree
from markdown_it import MarkdownIt
from pikepdf import Pdf
from pypdf import PdfReader
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.audit import AuditTrail
from alta_common.db.engine import Sessions
from alta_common.inbox import Inbox
from alta_common.storage.filesystem import FilesystemObjectStorage
from alta_projects.application.audit import ProjectAudit
from alta_projects.application.results import ResultService
from alta_projects.formats.table import DOCUMENT_FORMATS, TRANSCRIPT_FORMATS
from alta_projects.models.document import Document
from alta_projects.models.voice_sample import VoiceSample
from alta_projects.repositories.changes import ChangeAnnouncer

SAID = "Fish & chips"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64)


def a_scan() -> bytes:
    """A PDF with one page that says nothing itself."""
    file = io.BytesIO()
    with Pdf.new() as pdf:
        pdf.add_blank_page(page_size=(100, 200))
        pdf.save(file)
    return file.getvalue()


@pytest.fixture
def results(sessions: Sessions, engine: AsyncEngine) -> ResultService:
    audit = ProjectAudit(AuditTrail("projects"))
    return ResultService(sessions, Inbox("projects"), audit, ChangeAnnouncer(engine))


@pytest.fixture
async def document(ada: Any, results: ResultService, engines: Any) -> str:
    """The path of a read document's result."""
    made = await ada.document((await ada.project())["id"], a_scan())
    await results.record_completion(Document, await engines.completed(made, SAID))
    return f"/v1/documents/{made['id']}/result"


@pytest.fixture
async def sample(ada: Any, results: ResultService, engines: Any) -> str:
    """The path of a transcribed recording's result."""
    made = (await ada.upload((await ada.project())["id"], WAV, filename="a.wav", kind="voice-samples")).json()
    await results.record_completion(VoiceSample, await engines.transcribed(made, SAID))
    return f"/v1/voice-samples/{made['id']}/result"


def text_in(wanted: str, body: bytes) -> str:
    """What the reader of a format finds in `body`."""
    match wanted:
        case "markdown":
            return MarkdownIt().parse(body.decode())[1].children[0].content
        case "hocr":
            return "".join(etree.fromstring(body).find(".//{*}body").itertext()).strip()
        case "alto":
            return " ".join(etree.fromstring(body).xpath("//*[local-name()='String']/@CONTENT"))
        case "pdf":
            return PdfReader(io.BytesIO(body)).pages[0].extract_text().strip()
        case "srt":
            return " ".join(cue.content for cue in srt.parse(body.decode()))
        case _:
            # webvtt-py leaves the references of characters to who shows them.
            return unescape(" ".join(cue.text for cue in webvtt.from_string(body.decode())))


@pytest.mark.parametrize(
    ("noun", "wanted", "content_type"),
    [
        ("documents", "markdown", "text/markdown; charset=utf-8"),
        ("documents", "hocr", "text/vnd.hocr+html; charset=utf-8"),
        ("documents", "alto", "application/xml"),
        ("documents", "pdf", "application/pdf"),
        ("voice-samples", "srt", "application/x-subrip"),
        ("voice-samples", "vtt", "text/vtt; charset=utf-8"),
    ],
)
async def test_a_result_is_had_in_each_format(
    ada: Any, document: str, sample: str, noun: str, wanted: str, content_type: str
) -> None:
    path = document if noun == "documents" else sample

    answer = await ada.http.get(path, params={"format": wanted})
    again = await ada.http.get(path, params={"format": wanted}, headers={"If-None-Match": answer.headers["ETag"]})

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, content_type)
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert text_in(wanted, answer.content) == SAID
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", answer.headers["ETag"])


async def test_each_format_has_a_version_of_its_own(ada: Any, document: str, sample: str) -> None:
    for path, formats in ((document, DOCUMENT_FORMATS), (sample, TRANSCRIPT_FORMATS)):
        answers = [await ada.http.get(path, params={"format": wanted}) for wanted in formats]
        assert len({answer.headers["ETag"] for answer in answers}) == len(formats)


async def test_a_format_of_the_other_kind_is_refused(ada: Any, document: str, sample: str) -> None:
    for path, wanted in ((document, "srt"), (document, "vtt"), (sample, "hocr"), (sample, "alto"), (sample, "pdf")):
        refused = await ada.http.get(path, params={"format": wanted})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "/query/format"


async def test_a_lost_result_is_a_problem_in_each_format(
    ada: Any, document: str, storage: FilesystemObjectStorage, engines: Any
) -> None:
    document_id = document.split("/")[3]
    event = await engines.completed({"id": document_id, "project_id": document_id, "attempt": 1})
    await storage.delete(event.result_key)

    for wanted in DOCUMENT_FORMATS:
        lost = await ada.http.get(document, params={"format": wanted})
        assert (lost.status_code, lost.json()["code"]) == (404, "object_not_found")


async def test_the_api_document_names_each_format_and_its_media_type(api: Any) -> None:
    paths = (await api.client().get("/openapi.json")).json()["paths"]

    for path, formats in (
        ("/v1/documents/{document_id}/result", DOCUMENT_FORMATS),
        ("/v1/voice-samples/{sample_id}/result", TRANSCRIPT_FORMATS),
    ):
        found = paths[path]["get"]["responses"]["200"]
        assert found["content"].keys() == {one.media_type for one in formats.values()}
        assert all(f"`{one.name}`" in found["description"] for one in formats.values())
