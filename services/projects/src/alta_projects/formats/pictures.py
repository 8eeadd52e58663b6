"""Image files as they are shown: frames, orientation, resolution."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pi_heif
from PIL import ExifTags, Image

from alta_projects.formats.errors import UnreadableOriginalError
from alta_projects.formats.layout import PIXELS_PER_INCH

MOST_PIXELS = 40_000_000
"""Of a frame; the reader of documents has the same limit."""

_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "HEIF")
_AS_STORED = 1
_ON_ITS_SIDE = (5, 6, 7, 8)
_TURNS = {
    # What is done to stored pixels to show them, by EXIF's orientation (Exif 2.32, 4.6.4).
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PLAUSIBLE_RESOLUTION = (10.0, 10_000.0)
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What Pillow's and libheif's decoders raise about bytes that make no sense."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of an image file, which may not be decoded yet."""

    image: Image.Image
    orientation: int
    """How the image's pixels still have to be turned, in EXIF's numbers; 1: they are as they are shown."""
    resolution: tuple[float, float]
    """Pixels per inch across and down as it is shown: 300 where the file says nothing sensible."""

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height in pixels as it is shown."""
        width, height = self.image.size
        return (height, width) if self.orientation in _ON_ITS_SIDE else (width, height)

    def upright(self) -> Image.Image:
        """Return the image as it is shown."""
        # ImageOps.exif_transpose would write all of EXIF anew, and fails where a camera has got a type in it wrong.
        return self.image.transpose(_TURNS[self.orientation]) if self.orientation in _TURNS else self.image


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image file of a kind that documents may be. Raises `UnreadableOriginalError`, in the block too."""
    pi_heif.register_heif_opener(thumbnails=False, decode_threads=1)
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            # Not by its name: what has one is mapped into memory, and a gray TIFF that lies on its side is noise then.
            with path.open("rb") as file, Image.open(file, formats=_FORMATS) as image:
                yield image
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise UnreadableOriginalError("the image has more pixels than we decode") from error
        except _UNREADABLE as error:
            raise UnreadableOriginalError("the image is damaged and cannot be decoded") from error


def frames_in(image: Image.Image) -> int:
    """Return how many pages an image file has. What moves counts as its first picture."""
    return int(getattr(image, "n_frames", 1)) if image.format == "TIFF" else 1


def frame_of(image: Image.Image, index: int) -> Frame:
    """Return frame `index` (from 0) of an open image; the one before is gone then."""
    if index:
        image.seek(index)
    if image.width * image.height > MOST_PIXELS:
        raise Image.DecompressionBombError
    if image.format == "PNG":
        image.load()  # its notes may stand behind its pixels
    orientation = _orientation_of(image)
    resolution = _resolution_of(image, orientation)
    if image.format == "TIFF":
        # Pillow turns these itself while it decodes them, and takes the note away.
        image.load()
        orientation = _AS_STORED
    return Frame(image, orientation, resolution)


def _orientation_of(image: Image.Image) -> int:
    try:
        stated = image.getexif().get(ExifTags.Base.Orientation)
    except _UNREADABLE:
        return _AS_STORED  # a note that cannot be read: the pixels may be fine
    return int(stated) if stated in _TURNS else _AS_STORED


def _resolution_of(image: Image.Image, orientation: int) -> tuple[float, float]:
    try:
        across, down = (float(one) for one in image.info["dpi"])
    except (LookupError, TypeError, ValueError, ArithmeticError):
        across = down = 0.0
    least, most = _PLAUSIBLE_RESOLUTION
    if not (least <= across <= most and least <= down <= most):
        return (PIXELS_PER_INCH, PIXELS_PER_INCH)
    return (down, across) if orientation in _ON_ITS_SIDE else (across, down)


def flattened(image: Image.Image) -> Image.Image:
    """Return a decoded image as black and white (`1`), gray (`L`) or colours (`RGB`); what shines through is white."""
    if image.mode in {"1", "L", "RGB"} and not image.has_transparency_data:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return _to_8_bits(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    samples = image.convert("F")
    darkest, brightest = samples.getextrema()
    assert isinstance(darkest, float)
    assert isinstance(brightest, float)
    scale = 255 / max(brightest - darkest, 1e-6)
    return samples.point(lambda value: value * scale - darkest * scale).convert("L")
