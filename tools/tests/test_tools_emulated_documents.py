"""What the emulated Document AI refuses, as Google does."""

import io
from typing import Any

import pytest
from fpdf import FPDF
from google.cloud import documentai_v1 as documentai
from PIL import Image

from alta_common.contracts.results import Line, Page, Word
from alta_emulators.documents import masked, pages_of, sharded
from alta_emulators.faults import RefusedError
from alta_emulators.shapes import document_of

MOST_PIXELS = 40_000_000


def a_pdf(pages: int = 1, **encryption: Any) -> bytes:
    pdf = FPDF()
    if encryption:
        pdf.set_encryption(**encryption)
    for _ in range(pages):
        pdf.add_page()
    return bytes(pdf.output())


def a_picture(form: str, size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("1", size).save(file, form, **options)
    return file.getvalue()


def a_document(*texts: str) -> documentai.Document:
    box = (0.1, 0.1, 0.9, 0.2)
    return document_of(
        [
            Page(
                number=number,
                width=600,
                height=800,
                confidence=0.9,
                lines=[Line(text=text, confidence=0.9, box=box, words=[Word(text=text, confidence=0.9, box=box)])],
            )
            for number, text in enumerate(texts, start=1)
        ]
    )


def said(document: documentai.Document) -> list[str]:
    """What each page's first line says, by its anchor."""
    [*anchors] = (page.lines[0].layout.text_anchor.text_segments[0] for page in document.pages)
    return [document.text[anchor.start_index : anchor.end_index] for anchor in anchors]


@pytest.mark.parametrize(
    ("content", "media_type", "pages"),
    [
        (a_pdf(17), "application/pdf", 17),
        (a_picture("PNG"), "image/png", 1),
        (a_picture("TIFF", save_all=True, append_images=[Image.new("1", (40, 30))] * 2), "image/tiff", 3),
    ],
)
def test_pages_are_counted(content: bytes, media_type: str, pages: int) -> None:
    assert pages_of(content, media_type, MOST_PIXELS) == pages


@pytest.mark.parametrize(
    ("content", "media_type", "message"),
    [
        (b"hello", "application/pdf", "Unsupported input file format."),
        (a_picture("PNG"), "image/jpeg", "Unsupported input file format."),
        (a_picture("PNG"), "image/heic", "Unsupported input file format."),
        (a_pdf(owner_password="o", user_password="u"), "application/pdf", "encrypted"),
        (a_pdf()[:50], "application/pdf", "corrupt"),
        (a_picture("PNG")[:20], "image/png", "corrupt"),
        (a_picture("PNG", (8000, 5001)), "image/png", "size exceeds the limit"),
    ],
)
def test_what_google_refuses_is_refused(content: bytes, media_type: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        pages_of(content, media_type, MOST_PIXELS)


def test_only_what_is_asked_for_is_answered() -> None:
    document = a_document("hello")

    whole = masked(document, [])
    lines = masked(document, ["text", "pages.lines"])

    assert whole.pages[0].image.content
    assert whole.pages[0].tokens
    assert lines.text == "hello\n"
    assert said(lines) == ["hello\n"]
    assert not lines.pages[0].tokens
    assert not lines.pages[0].image.content


def test_shards_have_their_own_text_and_say_where_it_stood() -> None:
    shards = list(sharded(a_document("one", "two", "three"), 2))

    assert [said(shard) for shard in shards] == [["one\n", "two\n"], ["three\n"]]
    assert [shard.text for shard in shards] == ["one\ntwo\n", "three\n"]
    assert [(shard.shard_info.shard_index, shard.shard_info.text_offset) for shard in shards] == [(0, 0), (1, 8)]
