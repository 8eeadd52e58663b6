"""Pages as pictures: PDF pages through pdfium, image files through Pillow. All are BGR, as the engine wants."""

import struct
import warnings
import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
import pi_heif
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from alta_common.engines.port import InputError
from alta_ocr.engines.limits import (
    LONG_SIDE_PX,
    MAX_ASPECT,
    MAX_PAGE_ASPECT,
    MAX_RENDERED_PIXELS,
    MIN_SIDE_PX,
    RENDER_DPI,
    TALL_ASPECT,
    USUAL_SIDE_PX,
    DocumentLimits,
)
from alta_ocr.engines.pdf_objects import objects_of

Picture = NDArray[np.uint8]
"""`(height, width, 3)`, BGR."""

_FORMATS = ("JPEG", "PNG", "TIFF", "GIF", "BMP", "WEBP", "HEIF")
_CORRUPT = "The image is damaged: it cannot be decoded."
_POINTS_PER_INCH = 72
_AVERAGED_MODES = ("L", "LA", "RGB", "RGBA", "CMYK")
_TURNS = {
    # By EXIF's orientation (Exif 2.32, 4.6.4): what is done to the stored pixels to see them as they were taken.
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = (5, 6, 7, 8)
"""Orientations that swap width and height."""

_UNREADABLE = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    ArithmeticError,
    AssertionError,
    struct.error,
    zlib.error,
    # libheif's, of what would take more memory than it allows itself.
    RuntimeError,
)
"""What Pillow's decoders raise about bytes that make no sense."""


@dataclass(frozen=True)
class Frame:
    """One decoded image, upright by its own account (EXIF); `width` and `height` are those of the original."""

    picture: Picture
    width: int
    height: int


def render(page: Any) -> Picture | None:
    """Return a page of a PDF (pypdfium2's) at 150 dpi, smaller when it is large; None when it is too thin to show."""
    width, height = page.get_size()
    if max(width, height) > MAX_PAGE_ASPECT * min(width, height):
        return None
    scale = _scale(page, width, height)
    if min(width, height) * scale < MIN_SIDE_PX:
        return None
    bitmap = page.render(scale=scale, may_draw_forms=False, fill_color=(255, 255, 255, 255))
    try:
        picture = np.atleast_3d(bitmap.to_numpy())
        # Gray pages come with one channel, some with a fourth that says nothing.
        return np.ascontiguousarray(np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture[:, :, :3])
    finally:
        bitmap.close()


def _scale(page: Any, width: float, height: float) -> float:
    scale = RENDER_DPI / _POINTS_PER_INCH
    if max(width, height) * scale < USUAL_SIDE_PX:
        # A scan on a page that calls itself small is finer than 150 dpi.
        scale = max(scale, min(objects_of(page).pixels_per_point, USUAL_SIDE_PX / max(width, height)))
    fits = LONG_SIDE_PX / _looked_at(width, height)
    return float(min(scale, fits, (MAX_RENDERED_PIXELS / (width * height)) ** 0.5))


class ImageFile:
    """An image file with one or, for TIFF, many frames. Raises `InputError` for what we don't read."""

    def __init__(self, path: Path, limits: DocumentLimits) -> None:
        self._limits = limits
        # Our own limit is checked from the header below; Pillow's guards what the header of a later frame says.
        Image.MAX_IMAGE_PIXELS = limits.max_pixels
        # HEIC, as phones take photographs. A worker has one core.
        pi_heif.register_heif_opener(thumbnails=False, decode_threads=1)
        with _decoding(), ExitStack() as opened:
            # Not by its name: what has one is mapped into memory, and a gray TIFF that lies on its side is noise then.
            file = opened.enter_context(path.open("rb"))
            self._image = Image.open(file, formats=_FORMATS)
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._image.close()
        self._opened.close()

    @property
    def frames(self) -> int:
        """Return how many pages there are. Animations count as their first picture."""
        with _decoding():
            return int(getattr(self._image, "n_frames", 1)) if self._image.format == "TIFF" else 1

    def frame(self, index: int) -> Frame:
        """Return one page, not larger than the engine looks at."""
        with _decoding():
            self._go_to(index)
            is_photograph, stored = self._image.format == "JPEG", self._image.size
            if is_photograph:
                # Decodes a large one at a half or a quarter of its size in the first place.
                self._image.draft("RGB", (LONG_SIDE_PX, LONG_SIDE_PX))
            orientation = self._load()
            width, height = stored if is_photograph else self._image.size
            if orientation in _ON_ITS_SIDE:
                width, height = height, width
            return Frame(_shrunk(_bgr(_turned(_averaged(self._image), orientation))), width, height)

    def original(self, index: int) -> Image.Image:
        """Return one page in its own size, upright by its own account: black and white, gray or RGB."""
        with _decoding():
            self._go_to(index)
            image = _turned(self._image, self._load())
            if image.mode in {"1", "L", "RGB"} and not image.has_transparency_data:
                # Of a file's own image Pillow saves more than its pixels: tags that would turn it once more.
                return image.copy() if image is self._image else image
            return Image.fromarray(_bgr(image)[:, :, ::-1])

    def is_stored_upright(self, index: int) -> bool:
        """Say whether a page's pixels are in the order in which a viewer shows them. Checks its size, too."""
        with _decoding():
            self._go_to(index)
            return _orientation_of(self._image) not in _TURNS

    def _load(self) -> int:
        """Decode the page; return the orientation that its pixels still have to be given.

        Asked afterwards, because Pillow turns TIFF itself while it decodes, and takes the note away.
        """
        self._image.load()
        return _orientation_of(self._image)

    def _go_to(self, index: int) -> None:
        if index:
            self._image.seek(index)
        width, height = self._image.size
        if width * height > self._limits.max_pixels:
            raise _too_large()
        if min(width, height) < MIN_SIDE_PX or max(width, height) > MAX_ASPECT * min(width, height):
            raise InputError("image_too_small", f"The image has {width} x {height} pixels: too few to read anything.")


def _orientation_of(image: Image.Image) -> int:
    try:
        stated = image.getexif().get(ExifTags.Base.Orientation)
    except _UNREADABLE:
        return 1  # a note that cannot be read: the pixels may be fine
    return int(stated) if stated in _TURNS else 1


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    # ImageOps.exif_transpose would write all of EXIF anew, and fails where a camera has got a type in it wrong.
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _too_large() -> InputError:
    return InputError("image_too_large", "The image has more pixels than we read; 40 megapixels are allowed.")


class _decoding:  # noqa: N801  # reads like the block it opens
    """Turns whatever Pillow raises about a file into an `InputError`, and its warning of a bomb into an error."""

    def __enter__(self) -> None:
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._warnings.__exit__(kind, error, trace)
        if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
            raise _too_large() from error
        if isinstance(error, _UNREADABLE):
            raise InputError("corrupt_file", _CORRUPT) from error


def _bgr(image: Image.Image) -> Picture:
    if image.mode.startswith("I") or image.mode == "F":
        return np.asarray(cv2.cvtColor(_to_8_bits(np.asarray(image)), cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, layer)
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


def _to_8_bits(samples: NDArray[Any]) -> Picture:
    values = samples.astype(np.float32)
    darkest, brightest = float(values.min()), float(values.max())
    spread = max(brightest - darkest, 1e-6)
    return ((values - darkest) * (255 / spread)).astype(np.uint8)


def _averaged(image: Image.Image) -> Image.Image:
    """Return an image that is far too large at a half, a third…: conversions take memory several times its size."""
    factor = int(_looked_at(*image.size) // LONG_SIDE_PX)
    return image.reduce(factor) if factor > 1 and image.mode in _AVERAGED_MODES else image


def _looked_at(width: float, height: float) -> float:
    """Return the side of a picture that the engine limits."""
    short, long = sorted((width, height))
    # A tall one is cut into tiles, a wide one may turn out to be a tall one on its side.
    return short if long > TALL_ASPECT * short else long


def _shrunk(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    side = _looked_at(width, height)
    if side <= LONG_SIDE_PX:
        return picture
    scale = LONG_SIDE_PX / side
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Averaging keeps thin strokes that the engine's own shrinking would skip.
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
