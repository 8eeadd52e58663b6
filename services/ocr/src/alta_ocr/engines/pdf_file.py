"""Opening PDFs with pdfium. In worker processes only: it is not thread-safe, and nothing but a kill stops it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from alta_common.engines.port import InputError


@contextmanager
def open_pdf(path: Path) -> Iterator[Any]:
    """Hold the PDF (pypdfium2's document). Raises `InputError` when it is damaged or asks for a password."""
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if error.err_code in {pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY}:
            detail = "The PDF is protected by a password. Remove the password and upload it again."
            raise InputError("password_protected", detail) from error
        raise InputError("corrupt_file", "The PDF is damaged or incomplete: it cannot be opened.") from error
    try:
        yield document
    finally:
        document.close()


def is_encrypted(document: Any) -> bool:
    """Say whether an open PDF is encrypted: with an empty password, or for its owner only."""
    return bool(pdfium.FPDF_GetSecurityHandlerRevision(document) != -1)
