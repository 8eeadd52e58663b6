"""A page of an original as an image. Runs inside a worker process, called by name: originals are hostile."""

import importlib
import io
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pypdfium2
from PIL import Image

from alta_common.workers.child import Reporter
from alta_projects.formats.canonical import pages_of
from alta_projects.formats.errors import NoSuchPageError, UnreadableOriginalError
from alta_projects.formats.pictures import MOST_PIXELS, flattened, frame_of, frames_in, open_image

_PDF = "application/pdf"
_LONGEST_SIDE = 16_000
"""WebP ends at 16,383 pixels, JPEG at 65,535."""


class ImageKind(StrEnum):
    """What the image of a page may be encoded as, in Pillow's words; the first that a client takes is used."""

    JPEG = "JPEG"
    WEBP = "WEBP"
    PNG = "PNG"

    @property
    def media_type(self) -> str:
        """Return the media type."""
        return f"image/{self.value.lower()}"


_OPTIONS: dict[ImageKind, dict[str, Any]] = {
    ImageKind.JPEG: {"quality": 85},
    ImageKind.WEBP: {"quality": 82},
    ImageKind.PNG: {},
}
# Clockwise; Pillow's own names count the other way.
_TURNS = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}


@dataclass(frozen=True, slots=True)
class WantedImage:
    """Which page (from 1), how wide in pixels, turned clockwise by how many degrees from how the file shows it."""

    number: int
    width: int
    rotation: int
    kind: ImageKind

    def size_for(self, width: float, height: float) -> tuple[int, int]:
        """Return the size of the image of a page that measures `width` x `height` upright.

        It is as wide as wanted, unless it would be too high, or have more than 40 megapixels.
        """
        across = min(self.width, _LONGEST_SIDE * width / height, (MOST_PIXELS * width / height) ** 0.5)
        return max(int(across), 1), max(min(int(across * height / width), _LONGEST_SIDE), 1)


def warm_up(_report: Reporter) -> None:
    """Load what renderers need, so that the first job's time is its own."""
    importlib.import_module("alta_projects.formats.searchable.job")


def rotations_in(_report: Reporter, result: Path) -> dict[int, int]:
    """Return by how much the pages of a canonical result were turned to stand upright; only those that were."""
    return {page.number: page.rotation % 360 for page in pages_of(result) if page.rotation % 360}


def draw_page(_report: Reporter, original: Path, media_type: str, wanted: WantedImage) -> bytes:
    """Return a page as an image file. Raises `NoSuchPageError` and `UnreadableOriginalError`."""
    try:
        image = _from_pdf(original, wanted) if media_type == _PDF else _from_image(original, wanted)
    except pypdfium2.PdfiumError as error:
        raise UnreadableOriginalError("the PDF is damaged or protected") from error
    file = io.BytesIO()
    image.save(file, wanted.kind.value, **_OPTIONS[wanted.kind])
    return file.getvalue()


def _from_pdf(original: Path, wanted: WantedImage) -> Image.Image:
    with closing(pypdfium2.PdfDocument(original)) as pdf:
        _require_page(wanted.number, len(pdf))
        pdf.init_forms()  # else what people wrote into a form's fields is not drawn
        page = pdf[wanted.number - 1]
        if not all(page.get_size()):
            # Its CropBox lies outside of its MediaBox. One without an extent counts as none.
            page.set_cropbox(0, 0, 0, 0)
        width, height = page.get_size()
        if wanted.rotation % 180:
            width, height = height, width
        size = wanted.size_for(width, height)
        bitmap = page.render(scale=size[0] / width, rotation=wanted.rotation, limit_image_cache=True)
        image: Image.Image = bitmap.to_pil().convert("RGB")
        # pdfium's sizes are rounded up.
        return image if image.size == size else image.resize(size)


def _from_image(original: Path, wanted: WantedImage) -> Image.Image:
    with open_image(original) as image:
        _require_page(wanted.number, frames_in(image))
        frame = frame_of(image, wanted.number - 1)
        width, height = frame.size if wanted.rotation % 180 == 0 else frame.size[::-1]
        size = wanted.size_for(width, height)
        # A large photograph is decoded at a half or a quarter of its size in the first place.
        image.draft(None, (max(size), max(size)))
        pixels = flattened(frame.upright())
        if wanted.rotation in _TURNS:
            pixels = pixels.transpose(_TURNS[wanted.rotation])
        # Black and white becomes gray when it is made smaller, or strokes get lost.
        return (pixels.convert("L") if pixels.mode == "1" else pixels).resize(size, reducing_gap=2.0)


def _require_page(number: int, pages: int) -> None:
    if number > pages:
        raise NoSuchPageError(f"the document has {pages} pages")
