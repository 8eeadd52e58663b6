"""Searchable PDFs and images of pages over HTTP: what clients get, and what hostile originals do not do."""

import asyncio
import io
from collections.abc import Callable
from typing import Any

import pypdfium2
import pytest
from asgi_lifespan import LifespanManager
from pikepdf import Pdf
from PIL import Image

from alta_common.contracts.results import EngineInfo, Line, OcrResult, Page
from alta_common.errors import UnavailableError
from alta_common.testing import eventually
from alta_common.workers.wire import Task
from alta_projects.application.renderers import Renderers, RenderLimits
from alta_projects.application.results import ResultService
from alta_projects.main import create_app, create_parts
from alta_projects.models.document import Document
from alta_projects.settings import ProjectsSettings

WIDE = (400, 200)


def an_image(size: tuple[int, int] = WIDE) -> bytes:
    file = io.BytesIO()
    image = Image.new("RGB", size, "white")
    image.paste((200, 0, 0), (0, 0, size[0] // 2, size[1] // 2))
    image.save(file, "PNG")
    return file.getvalue()


def a_pdf(pages: int = 2) -> bytes:
    file = io.BytesIO()
    with Pdf.new() as pdf:
        for _ in range(pages):
            pdf.add_blank_page(page_size=WIDE)
        pdf.save(file)
    return file.getvalue()


@pytest.fixture
def read(ada: Any, results: ResultService, engines: Any, storage: Any) -> Callable[..., Any]:
    """Uploads a document and has it read: `say` on each of its pages, turned by `rotation`."""

    async def read(content: bytes, *, say: str = "Dear Sir", pages: int = 1, rotation: int = 0) -> dict[str, Any]:
        document = await ada.document((await ada.project())["id"], content, filename="Grüße 1848.pdf")
        line = Line(text=say, confidence=0.9, box=(0.1, 0.4, 0.9, 0.6), words=[])
        sheets = [
            Page(number=number, width=400, height=200, rotation=rotation, confidence=0.9, lines=[line])
            for number in range(1, pages + 1)
        ]
        engine = EngineInfo(name="rapidocr", version="3.10")
        result = OcrResult(document_id=document["id"], engine=engine, language="en", text=say, pages=sheets)
        event = await engines.completed(document, pages=pages)
        stored = await storage.put_bytes(event.result_key, result.model_dump_json().encode(), "application/json")
        await results.record_completion(Document, event.model_copy(update={"result_sha256": stored.sha256}))
        return document

    return read


def path_of(document: dict[str, Any], page: int = 1) -> str:
    return f"/v1/documents/{document['id']}/pages/{page}/image"


def seen(answer: Any) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def is_red(image: Image.Image, across: float, down: float) -> bool:
    red, green, _ = image.convert("RGB").getpixel((int(across * image.width), int(down * image.height)))
    return red > 150 and green < 100


async def test_a_searchable_pdf_is_a_download_of_its_own(ada: Any, read: Any) -> None:
    document = await read(an_image())

    answer = await ada.http.get(f"/v1/documents/{document['id']}/result", params={"format": "pdf"})

    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Disposition"].endswith("filename*=UTF-8''Gr%C3%BC%C3%9Fe%201848.pdf")
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    with pypdfium2.PdfDocument(answer.content) as pdf:
        assert pdf[0].get_textpage().get_text_range().strip() == "Dear Sir"


async def test_an_original_that_cannot_be_opened_has_no_pdf_and_says_so(ada: Any, read: Any) -> None:
    document = await read(b"%PDF-1.7 but nothing of it")

    refused = await ada.http.get(f"/v1/documents/{document['id']}/result", params={"format": "pdf"})
    text = await ada.http.get(f"/v1/documents/{document['id']}/result", params={"format": "text"})
    image = await ada.http.get(path_of(document))

    assert (refused.status_code, refused.json()["code"]) == (409, "format_not_available")
    assert "damaged" in refused.json()["detail"]
    assert text.status_code == 200
    assert (image.status_code, image.json()["code"]) == (409, "page_not_available")


LIKES = {
    "*/*": "JPEG",
    "image/png": "PNG",
    "text/html, image/webp;q=0.9, image/*;q=0.2": "WEBP",
    "image/*": "JPEG",
    "image/jpeg;q=0, */*;q=0.1": "WEBP",
}


async def test_a_page_is_seen_as_the_client_likes(ada: Any, read: Any) -> None:
    path = path_of(await read(an_image()))

    for accept, kind in LIKES.items():
        answer = await ada.http.get(path, params={"width": 100}, headers={"Accept": accept})
        assert (seen(answer).format, seen(answer).size) == (kind, (100, 50)), accept
        assert (answer.headers["Content-Type"], answer.headers["Vary"]) == (f"image/{kind.lower()}", "Accept")


async def test_a_kind_that_we_do_not_draw_is_refused(ada: Any, read: Any) -> None:
    refused = await ada.http.get(path_of(await read(an_image())), headers={"Accept": "image/avif, text/html"})

    assert (refused.status_code, refused.json()["code"]) == (406, "not_acceptable")


async def test_a_page_stands_as_its_result_has_it(ada: Any, read: Any) -> None:
    # The corner of the upright page where the picture's own upper left is.
    corners = {0: (0.1, 0.1), 90: (0.9, 0.1), 180: (0.9, 0.9), 270: (0.1, 0.9)}

    for rotation, red in corners.items():
        document = await read(an_image(), rotation=rotation)
        image = seen(await ada.http.get(path_of(document), params={"width": 120}))
        assert image.size == ((120, 240) if rotation in (90, 270) else (120, 60))
        assert is_red(image, *red)


async def test_a_page_is_seen_before_it_has_been_read(ada: Any) -> None:
    document = await ada.document((await ada.project())["id"], a_pdf())

    image = seen(await ada.http.get(path_of(document, 2), params={"width": 60}))
    missing = await ada.http.get(path_of(document, 3))

    assert image.size == (60, 30)
    assert (missing.status_code, missing.json()["code"]) == (404, "no_such_page")


async def test_a_page_that_is_not_there_is_not_found(ada: Any, read: Any) -> None:
    document = await read(an_image())

    for page in (0, -1, 2, 10**12):
        missing = await ada.http.get(path_of(document, page))
        assert (missing.status_code, missing.json()["code"]) == (404, "no_such_page")


async def test_a_width_that_makes_no_sense_is_refused(ada: Any, read: Any) -> None:
    document = await read(an_image())

    for width in ("15", "4001", "wide", "-1"):
        refused = await ada.http.get(path_of(document), params={"width": width})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/query/width")


async def test_a_picture_that_the_client_has_is_not_drawn_again(ada: Any, read: Any) -> None:
    path = path_of(await read(an_image()))

    first = await ada.http.get(path)
    again = await ada.http.get(path, headers={"If-None-Match": first.headers["ETag"]})
    wider = await ada.http.get(path, params={"width": 200}, headers={"If-None-Match": first.headers["ETag"]})
    pinned = await ada.http.get(path, params={"revision": 1})

    assert (first.status_code, again.status_code, wider.status_code) == (200, 304, 200)
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert "immutable" in pinned.headers["Cache-Control"]
    assert (await ada.http.get(path, params={"revision": 2})).status_code == 404


async def test_strangers_see_no_pages(bob: Any, read: Any) -> None:
    assert (await bob.http.get(path_of(await read(an_image())))).status_code == 404


async def test_a_page_as_long_as_a_road_stays_within_bounds(ada: Any, read: Any) -> None:
    image = seen(await ada.http.get(path_of(await read(an_image((20, 20_000)))), params={"width": 4000}))

    assert image.width * image.height <= 40_000_000


async def test_an_original_that_never_ends_is_given_up_and_the_next_is_not(
    settings: ProjectsSettings, api: Any, tokens: Any, storage: Any
) -> None:
    hasty = settings.model_copy(update={"render_seconds": 8.0, "render_workers": 1})
    app = create_app(hasty, create_parts(hasty, tokens.verifier(), storage))
    async with LifespanManager(app):
        others = type(api)(app, tokens)
        ada = others.somebody()
        project = await ada.project()
        endless = await ada.document(project["id"], an_endless_pdf())
        short = await ada.document(project["id"], an_image())

        answers = await asyncio.gather(ada.http.get(path_of(endless)), ada.http.get(path_of(short)))
        for client in others.clients:
            await client.aclose()

    assert [answer.status_code for answer in answers] == [409, 200]
    assert answers[0].json()["code"] == "page_not_available"


def an_endless_pdf() -> bytes:
    """Some kilobytes that keep pdfium busy for more than a minute."""
    file = io.BytesIO()
    with Pdf.new() as pdf:
        page = pdf.add_blank_page(page_size=WIDE)
        page.Contents = pdf.make_stream(b"0 0 m 400 200 l 7 9 l S\n" * 3_000_000)
        pdf.save(file)
    return file.getvalue()


async def test_who_would_wait_too_long_is_told_to_come_again() -> None:
    renderers = Renderers(RenderLimits(workers=1, waiting=0, job_seconds=60.0, memory_bytes=0))
    busy = asyncio.create_task(renderers.run(Task("alta_projects.formats.page_image:warm_up")))
    await eventually(lambda: renderers._jobs == 1)

    with pytest.raises(UnavailableError, match="too many"):
        await renderers.run(Task("alta_projects.formats.page_image:warm_up"))
    await busy
    await renderers.run(Task("alta_projects.formats.page_image:warm_up"))

    await renderers.close()
