"""An image as an object of a PDF (ISO 32000-2, 8.9.5)."""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from pikepdf import Array, Dictionary, Name, Object, Pdf, Stream
from PIL import Image

_JPEG_QUALITY = 95
_COLOURS = {"1": 1, "L": 1, "RGB": 3, "CMYK": 4}
_SPACES = {1: Name.DeviceGray, 3: Name.DeviceRGB, 4: Name.DeviceCMYK}
_PROFILES = {b"GRAY": 1, b"RGB ": 3, b"CMYK": 4}
_LARGEST_PROFILE = 4 * 1024 * 1024
_PNG_SIGNATURE_BYTES = 8
_PNG_PREDICTORS = 15


@dataclass(frozen=True, slots=True)
class Embedded:
    """An image's data, compressed, and what a PDF must know about it."""

    size: tuple[int, int]
    colours: int
    bits: int
    filter: Name
    data: bytes
    profile: bytes | None
    more: dict[str, Object] = field(default_factory=dict)

    def add_to(self, pdf: Pdf) -> Object:
        """Return the image as an object of `pdf`."""
        width, height = self.size
        return Stream(
            pdf,
            self.data,
            Type=Name.XObject,
            Subtype=Name.Image,
            Width=width,
            Height=height,
            BitsPerComponent=self.bits,
            ColorSpace=self._space(pdf),
            Filter=self.filter,
            **self.more,
        )

    def _space(self, pdf: Pdf) -> Object:
        plain = _SPACES[self.colours]
        if self.profile is None:
            return plain
        return Array([Name.ICCBased, Stream(pdf, self.profile, N=self.colours, Alternate=plain)])


def as_stored(image: Image.Image, jpeg: bytes) -> Embedded:
    """Return a JPEG file as it is. Adobe's programs store CMYK inverted, which `Decode` undoes."""
    colours = _COLOURS[image.mode]
    is_inverted = image.mode == "CMYK" and "adobe" in image.info
    more: dict[str, Object] = {"Decode": Array([1, 0] * colours)} if is_inverted else {}
    return Embedded(image.size, colours, 8, Name.DCTDecode, jpeg, _profile(image, colours), more)


def as_jpeg(pixels: Image.Image, original: Image.Image) -> Embedded:
    """Return decoded pixels (`L` or `RGB`) as a JPEG that shows no difference."""
    file = io.BytesIO()
    pixels.save(file, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    colours = _COLOURS[pixels.mode]
    return Embedded(pixels.size, colours, 8, Name.DCTDecode, file.getvalue(), _profile(original, colours))


def as_pixels(pixels: Image.Image, original: Image.Image) -> Embedded:
    """Return decoded pixels (`1`, `L` or `RGB`) without loss: as in a PNG, whose compression PDF knows too."""
    file = io.BytesIO()
    pixels.save(file, "PNG", icc_profile=None)
    colours, bits = _COLOURS[pixels.mode], 1 if pixels.mode == "1" else 8
    parameters = Dictionary(Predictor=_PNG_PREDICTORS, Colors=colours, BitsPerComponent=bits, Columns=pixels.width)
    data = b"".join(_image_data(file.getvalue()))
    profile = _profile(original, colours)
    return Embedded(pixels.size, colours, bits, Name.FlateDecode, data, profile, {"DecodeParms": parameters})


def _image_data(png: bytes) -> Iterator[bytes]:
    """Yield the compressed pixels of a PNG that Pillow has just written (RFC 2083, 3.2)."""
    at = _PNG_SIGNATURE_BYTES
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        if kind == b"IDAT":
            yield png[at + 8 : at + 8 + length]
        at += 12 + length


def _profile(image: Image.Image, colours: int) -> bytes | None:
    """Return the image's ICC profile where it is of as many colours (ICC.1, 7.2.6)."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or len(profile) > _LARGEST_PROFILE:
        return None
    return profile if _PROFILES.get(profile[16:20]) == colours else None
