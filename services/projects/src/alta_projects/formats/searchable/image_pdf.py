"""An image file as a PDF: a page for each frame, with the image's own pixels at its own size."""

import itertools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from pikepdf import Array, Dictionary, Name, Page, Pdf
from PIL import Image

from alta_projects.formats.pictures import Frame, flattened, frame_of, frames_in, open_image
from alta_projects.formats.searchable.image_objects import Embedded, as_jpeg, as_pixels, as_stored

_POINTS_PER_INCH = 72
# What a page may measure in all viewers (ISO 32000-1, annex C).
_LONGEST, _SHORTEST = 14_400.0, 3.0
# Images that are held in memory before they go to disk.
_PART_BYTES = 64 * 1024 * 1024
# Where the share (a, b) of the stored image, across and down, is shown, by EXIF's orientation (Exif 2.32, 4.6.4).
_SHOWN: dict[int, Callable[[float, float], tuple[float, float]]] = {
    1: lambda a, b: (a, b),
    2: lambda a, b: (1 - a, b),
    3: lambda a, b: (1 - a, 1 - b),
    4: lambda a, b: (a, 1 - b),
    5: lambda a, b: (b, a),
    6: lambda a, b: (1 - b, a),
    7: lambda a, b: (1 - b, 1 - a),
    8: lambda a, b: (b, 1 - a),
}


def image_to_pdf(source: Path, frames: int, target: Path, on_page: Callable[[int], None]) -> None:
    """Write the first `frames` frames of an image file as pages to `target`, one in memory at a time, nearly.

    A JPEG is taken over as it is; what was compressed with losses otherwise becomes a JPEG of high quality; all else
    keeps every pixel. Pages are upright as EXIF says. `on_page` hears the number of each page that is done.
    """
    parts: list[Path] = []
    with open_image(source) as image:
        numbers = iter(range(min(frames, frames_in(image))))
        while (first := next(numbers, None)) is not None:
            parts.append(target.with_name(f"{target.name}.{len(parts)}"))
            with Pdf.new() as part:
                held = 0
                for index in itertools.chain([first], numbers):
                    held += _add_page(part, frame_of(image, index), source)
                    on_page(index + 1)
                    if held > _PART_BYTES:
                        break
                part.save(parts[-1])
    _join(parts, target)


def _join(parts: Sequence[Path], target: Path) -> None:
    with ExitStack() as stack, Pdf.new() as whole:
        for path in parts:
            whole.pages.extend(stack.enter_context(Pdf.open(path)).pages)
        # Nothing is read from the parts before it is written.
        whole.save(target)
    for path in parts:
        path.unlink()


def _add_page(pdf: Pdf, frame: Frame, source: Path) -> int:
    """Add a page; return how many bytes its image takes."""
    width, height = (
        min(max(pixels / resolution * _POINTS_PER_INCH, _SHORTEST), _LONGEST)
        for pixels, resolution in zip(frame.size, frame.resolution, strict=True)
    )
    embedded = _embedded(frame.image, source)
    page = Dictionary(
        Type=Name.Page,
        MediaBox=Array([0, 0, round(width, 3), round(height, 3)]),
        Resources=Dictionary(XObject=Dictionary(Image=embedded.add_to(pdf))),
        Contents=pdf.make_stream(_drawn(frame.orientation, width, height)),
    )
    pdf.pages.append(Page(pdf.make_indirect(page)))
    return len(embedded.data)


def _embedded(image: Image.Image, source: Path) -> Embedded:
    if image.format in {"JPEG", "MPO"} and image.mode in {"L", "RGB", "CMYK"}:
        return as_stored(image, source.read_bytes())
    is_lossy = image.format == "HEIF" or (image.format == "WEBP" and not _is_lossless_webp(source))
    pixels = flattened(image)
    return as_jpeg(pixels, image) if is_lossy and pixels.mode != "1" else as_pixels(pixels, image)


def _is_lossless_webp(source: Path) -> bool:
    with source.open("rb") as file:
        return b"VP8L" in file.read(4096)


def _drawn(orientation: int, width: float, height: float) -> bytes:
    """Return what draws the image over its page; an image's own space has its origin at the lower left."""
    shown = _SHOWN[orientation]
    corners = (shown(0, 1), shown(1, 1), shown(0, 0))
    (x, y), (right_x, right_y), (up_x, up_y) = ((a * width, (1 - b) * height) for a, b in corners)
    matrix = (right_x - x, right_y - y, up_x - x, up_y - y, x, y)
    return b"q %s cm /Image Do Q" % b" ".join(f"{value:.3f}".encode() for value in matrix)
