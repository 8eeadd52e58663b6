"""What runs inside a worker process: opening a document and reading its pages. Called by name through the pool."""

import functools
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium

from alta_common.contracts.results import Page
from alta_common.engines.port import InputError
from alta_common.workers.child import Reporter
from alta_ocr.engines import media, text_layer
from alta_ocr.engines.engine import PageReading
from alta_ocr.engines.looking import read_picture
from alta_ocr.engines.pdf_file import open_pdf
from alta_ocr.engines.plan import Document, Plan
from alta_ocr.engines.rapid import RapidEngine
from alta_ocr.engines.rendering import ImageFile, render

_MOST_ANNOTATIONS = 1000
_STATM = Path("/proc/self/statm")
_LARGE_BYTES = 1400 * 1024 * 1024
_NEAR_THE_LIMIT = 0.7

WORN_OUT = 1_000_000_000
"""More work than any worker may do before it is replaced."""


@functools.cache
def engine_of(backend: str) -> RapidEngine:
    """Return this process's engine; made at the first call."""
    return RapidEngine(backend)


def warm_up(_report: Reporter, backend: str) -> None:
    """Load the engine and read a line with it, so that the first page does not wait for that."""
    engine_of(backend)


def inspect(_report: Reporter, document: Document) -> Plan:
    """Return what the file is. Raises `InputError` when it is nothing that we read, or too much of it."""
    media_type = media.media_type_of(document.path)
    if media_type == media.PDF:
        with open_pdf(document.path) as pdf:
            pages = len(pdf)
    else:
        with ImageFile(document.path, document.limits) as image:
            pages = image.frames
    if pages == 0:
        raise InputError("corrupt_file", "The document has no pages.")
    if pages > document.limits.max_pages:
        raise InputError("too_many_pages", f"The document has {pages} pages; {document.limits.max_pages} are allowed.")
    return Plan(media_type, pages, engine_of(document.backend).info, text_layer.info())


def read_pages(report: Reporter, document: Document, media_type: str, numbers: range, turn_seconds: float) -> None:
    """Read the pages with these `numbers`, from 1; report a `PageReading` for each as soon as it is done.

    After `turn_seconds` the rest is left for another turn: who asks sees from the reports how far it came.
    """
    pages = _pdf_pages(document, numbers) if media_type == media.PDF else _frames(document, numbers)
    began = started = time.perf_counter()
    for page in pages:
        now = time.perf_counter()
        report(PageReading.of(page, now - started))
        if page.source == "ocr":
            report.count(WORN_OUT if _is_worn_out() else 1)
        if now - began > turn_seconds:
            break
        started = now


def _is_worn_out() -> bool:
    """Say whether this process has grown so much that the next page might be one too many for it.

    OpenVINO keeps kernels for every size of page that came along.
    """
    size, resident = (int(pages) * resource.getpagesize() for pages in _STATM.read_text().split()[:2])
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return resident > _LARGE_BYTES or (limit != resource.RLIM_INFINITY and size > _NEAR_THE_LIMIT * limit)


def _pdf_pages(document: Document, numbers: range) -> Iterator[Page]:
    with open_pdf(document.path) as pdf:
        for number in numbers:
            with _page(pdf, number) as page:
                yield text_layer.read_text_layer(page, number) or _rendered(page, number, document.backend)


def _frames(document: Document, numbers: range) -> Iterator[Page]:
    with ImageFile(document.path, document.limits) as image:
        for number in numbers:
            frame = image.frame(number - 1)
            yield read_picture(frame.picture, number, (frame.width, frame.height), "px", engine_of(document.backend))


def _rendered(page: Any, number: int, backend: str) -> Page:
    picture = render(page)
    if picture is None:
        picture = np.zeros((1, 1, 3), dtype=np.uint8)  # too thin to show: nothing stands on it
    return read_picture(picture, number, page.get_size(), "pt", engine_of(backend))


@contextmanager
def _page(document: Any, number: int) -> Iterator[Any]:
    page = _opened(document, number)
    if _has_filled_fields(page) and pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY) == pdfium.FLATTEN_SUCCESS:
        # What people wrote into a form's fields is drawn into the page, where it counts as its text.
        page.close()
        page = _opened(document, number)
    try:
        yield page
    finally:
        page.close()


def _opened(document: Any, number: int) -> Any:
    try:
        page = document[number - 1]
    except pypdfium2.PdfiumError as error:
        raise InputError("corrupt_file", f"The PDF is damaged: page {number} cannot be read.") from error
    if not all(page.get_size()):
        # Its CropBox lies outside of its MediaBox. One without an extent counts as none.
        page.set_cropbox(0, 0, 0, 0)
    return page


def _has_filled_fields(page: Any) -> bool:
    for i in range(min(pdfium.FPDFPage_GetAnnotCount(page), _MOST_ANNOTATIONS)):
        annotation = pdfium.FPDFPage_GetAnnot(page, i)
        kind = pdfium.FPDFAnnot_GetSubtype(annotation)
        pdfium.FPDFPage_CloseAnnot(annotation)
        if kind in {pdfium.FPDF_ANNOT_WIDGET, pdfium.FPDF_ANNOT_FREETEXT}:
            return True
    return False
