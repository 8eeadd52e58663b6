"""What runs inside a worker process, called by name through the pool: originals are hostile."""

from pathlib import Path

import pikepdf
import pypdfium2

from alta_common.workers.child import Reporter
from alta_projects.formats.canonical import pages_of
from alta_projects.formats.errors import UnreadableOriginalError
from alta_projects.formats.searchable.image_pdf import image_to_pdf
from alta_projects.formats.searchable.overlay import overlay

_PDF = "application/pdf"


def make_searchable(report: Reporter, original: Path, media_type: str, result: Path, target: Path) -> bool:
    """Write the searchable PDF of `original` and its canonical `result` to `target`.

    Return False, with nothing written, when the original is that already. Raises `UnreadableOriginalError`.
    """
    try:
        if media_type == _PDF:
            return overlay(original, pages_of(result), target, report, turn=False)
        plain = target.with_suffix(".plain")
        image_to_pdf(original, sum(1 for _ in pages_of(result)), plain, report)
        overlay(plain, pages_of(result), target, report, turn=True)
        plain.unlink()
    except (pikepdf.PdfError, pikepdf.PasswordError, pypdfium2.PdfiumError) as error:
        raise UnreadableOriginalError("the PDF is damaged or protected") from error
    return True
