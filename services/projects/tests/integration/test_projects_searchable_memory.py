"""A book takes a renderer hardly more memory than a letter."""

import os
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from pikepdf import Array, Dictionary, Name, Page, Pdf, Stream
from PIL import Image

from alta_common.contracts.results import EngineInfo, Line, OcrResult, Word
from alta_common.contracts.results import Page as ReadPage
from alta_common.ids import new_id
from alta_common.workers.pool import WorkerLimits, WorkerPool
from alta_common.workers.wire import Task

PAGES = 600
PAGE_BYTES = 100_000
ALLOWED_GROWTH = 100 * 1024 * 1024


def a_scan(path: Path, pages: int) -> Path:
    """A PDF of so many pages, each with a picture that cannot be compressed."""
    with Pdf.new() as pdf:
        for _ in range(pages):
            picture = Stream(
                pdf,
                os.urandom(PAGE_BYTES),
                Type=Name.XObject,
                Subtype=Name.Image,
                Width=250,
                Height=PAGE_BYTES // 250,
                ColorSpace=Name.DeviceGray,
                BitsPerComponent=8,
            )
            sheet = Dictionary(
                Type=Name.Page,
                MediaBox=Array([0, 0, 595, 842]),
                Resources=Dictionary(XObject=Dictionary(Picture=picture)),
                Contents=pdf.make_stream(b"q 595 0 0 842 0 0 cm /Picture Do Q"),
            )
            pdf.pages.append(Page(pdf.make_indirect(sheet)))
        pdf.save(path)
    return path


def a_tiff(path: Path, pages: int) -> Path:
    """An image file of so many pages, all alike, that takes a hundred times its size when it is decoded."""
    first, *others = [Image.new("L", (1000, 1400), 200) for _ in range(pages)]
    first.save(path, "TIFF", save_all=True, append_images=others, compression="tiff_deflate")
    return path


def what_it_says(path: Path, pages: int) -> Path:
    """A result of so many pages with forty words each."""
    lines = [
        Line(
            text=" ".join(f"word{i}" for i in range(8)),
            confidence=0.9,
            box=(0.1, top, 0.9, top + 0.02),
            words=[
                Word(text=f"word{i}", confidence=0.9, box=(0.1 + 0.1 * i, top, 0.18 + 0.1 * i, top + 0.02))
                for i in range(8)
            ],
        )
        for top in (0.1, 0.2, 0.3, 0.4, 0.5)
    ]
    read = [ReadPage(number=n, width=595, height=842, confidence=0.9, lines=lines) for n in range(1, pages + 1)]
    engine = EngineInfo(name="rapidocr", version="3.10")
    result = OcrResult(document_id=new_id(), engine=engine, language=None, text="", pages=read)
    path.write_text(result.model_dump_json())
    return path


async def peak_of(folder: Path, original: Path, media_type: str, pages: int) -> int:
    """The most memory that a fresh worker has had in use when it has made the PDF, in bytes."""
    arguments = {
        "original": original,
        "media_type": media_type,
        "result": what_it_says(folder / "result.json", pages),
        "target": folder / "made.pdf",
    }
    pool = WorkerPool("renderer", 1, WorkerLimits(job_seconds=600, step_seconds=600))
    await pool.start()
    try:
        assert await pool.run(Task("alta_projects.formats.searchable.job:make_searchable", arguments))
        return high_water(pool.pids[0])
    finally:
        await pool.close()


def high_water(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("kind", ["scan", "tiff"])
async def test_a_book_takes_hardly_more_than_a_letter(tmp_path: Path, kind: str) -> None:
    make: Any = a_scan if kind == "scan" else a_tiff
    media_type = "application/pdf" if kind == "scan" else "image/tiff"
    pages = PAGES if kind == "scan" else PAGES // 10

    letter = await peak_of(tmp_path, make(tmp_path / "letter", 2), media_type, 2)
    book = await peak_of(tmp_path, make(tmp_path / "book", pages), media_type, pages)

    with pypdfium2.PdfDocument(tmp_path / "made.pdf") as pdf:
        assert len(pdf) == pages
        assert pdf[pages - 1].get_textpage().get_text_range().split()[:2] == ["word0", "word1"]
    assert book - letter < ALLOWED_GROWTH, f"{letter / 2**20:.0f} MiB, {book / 2**20:.0f} MiB"
