"""Image files as they are shown: frames, orientation, resolution."""

import warnings
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
_PLAUSIBLE_RESOLUTION = (10.0, 10_000.0)
_UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, EOFError, LookupError, ArithmeticError, RuntimeError)
"""What Pillow's and libheif's decoders raise about bytes that make no sense."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of an image file, not decoded yet. `orientation` is EXIF's; 1: as it is stored."""

    image: Image.Image
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height in pixels as it is shown."""
        width, height = self.image.size
        return (height, width) if self.orientation in _ON_ITS_SIDE else (width, height)

    @property
    def resolution(self) -> tuple[float, float]:
        """Return pixels per inch across and down as it is shown: 300 where the file says nothing sensible."""
        try:
            across, down = (float(one) for one in self.image.info["dpi"])
        except (LookupError, TypeError, ValueError, ArithmeticError):
            across = down = 0.0
        least, most = _PLAUSIBLE_RESOLUTION
        if not (least <= across <= most and least <= down <= most):
            return (PIXELS_PER_INCH, PIXELS_PER_INCH)
        return (down, across) if self.orientation in _ON_ITS_SIDE else (across, down)


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image file of a kind that documents may be. Raises `UnreadableOriginalError`, in the block too."""
    pi_heif.register_heif_opener(thumbnails=False, decode_threads=1)
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=_FORMATS) as image:
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
    stated = image.getexif().get(ExifTags.Base.Orientation, _AS_STORED)
    return Frame(image, stated if stated in range(1, 9) else _AS_STORED)


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
