"""Making a file fit for Document AI: what it is, and pieces of it. Runs inside a worker process, called by name."""

from contextlib import closing
from pathlib import Path

import pypdfium2
from PIL import Image
from PIL.TiffImagePlugin import AppendingTiffWriter

from alta_common.engines.port import InputError
from alta_common.workers.child import Reporter
from alta_ocr.engines import media
from alta_ocr.engines.pdf_file import is_encrypted, open_pdf
from alta_ocr.engines.plan import Document, Whole
from alta_ocr.engines.reader import inspect as inspect_document
from alta_ocr.engines.rendering import ImageFile

TIFF = "image/tiff"
_JPEG = "image/jpeg"
_PNG = "image/png"
# An animation counts as its first picture here; Google may think otherwise, so GIF and WebP are not sent as they are.
_TAKEN_AS_IT_IS = {_JPEG, _PNG, TIFF, "image/bmp"}
_WITHOUT_LOSS = {_PNG, TIFF, "image/gif", "image/bmp"}
_JPEG_QUALITY = 92


def inspect(report: Reporter, document: Document) -> Whole:
    """Return what the file is. Raises `InputError` when it is nothing that we read, or too much of it."""
    plan = inspect_document(report, document)
    if plan.media_type == media.PDF:
        with open_pdf(document.path) as pdf:
            # Copied pages are not encrypted any more.
            return Whole(document, plan.media_type, plan.pages, not is_encrypted(pdf))
    with ImageFile(document.path, document.limits) as image:
        upright = [image.is_stored_upright(index) for index in range(plan.pages)]
    return Whole(document, plan.media_type, plan.pages, all(upright) and plan.media_type in _TAKEN_AS_IT_IS)


def cut(
    _report: Reporter, *, document: Document, media_type: str, first: int, last: int, target: Path, max_bytes: int
) -> str:
    """Write pages `first` to `last` (from 1, both included) to the file `target`; return its media type.

    It may have more than `max_bytes`, unless it can be made smaller without leaving pages out.
    """
    if media_type == media.PDF:
        _cut_pdf(document.path, first, last, target)
        return media_type
    with ImageFile(document.path, document.limits) as image:
        if first == last:
            return _save(image.original(first - 1), media_type, target, max_bytes)
        # One after the other: fifteen decoded pages at a time could be two gigabytes.
        with AppendingTiffWriter(str(target), new=True) as writer:
            for index in range(first - 1, last):
                image.original(index).save(writer, "TIFF", compression="tiff_deflate")
                writer.newFrame()
    return TIFF


def _cut_pdf(source: Path, first: int, last: int, target: Path) -> None:
    with open_pdf(source) as pdf, closing(pypdfium2.PdfDocument.new()) as part:
        try:
            part.import_pages(pdf, list(range(first - 1, last)))
            part.save(target)
        except pypdfium2.PdfiumError as error:
            raise InputError(
                "corrupt_file", f"The PDF is damaged: pages {first} to {last} cannot be copied."
            ) from error


def _save(image: Image.Image, media_type: str, target: Path, max_bytes: int) -> str:
    if media_type in _WITHOUT_LOSS:
        image.save(target, "PNG")
        if target.stat().st_size <= max_bytes:
            return _PNG
    image.save(target, "JPEG", quality=_JPEG_QUALITY)
    return _JPEG
