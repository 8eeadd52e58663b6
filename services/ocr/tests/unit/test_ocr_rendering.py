import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import ExifTags, Image, ImageOps
from PIL.TiffImagePlugin import AppendingTiffWriter

from alta_common.engines.port import InputError
from alta_ocr.engines.limits import DocumentLimits
from alta_ocr.engines.rendering import Frame, ImageFile, render

Save = Callable[..., Path]
LIMITS = DocumentLimits()


def frame_of(path: Path, index: int = 0) -> Frame:
    with ImageFile(path, LIMITS) as image:
        return image.frame(index)


def code_of(path: Path, index: int = 0) -> str:
    with pytest.raises(InputError) as refused:
        frame_of(path, index)
    return refused.value.code


def outcome_of(path: Path) -> str:
    try:
        frame_of(path)
    except InputError as refused:
        return refused.code
    return "read"


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises much and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\x00" * 100))


def test_a_photograph_is_turned_as_its_camera_says(image_file: Save) -> None:
    photo = Image.new("RGB", (300, 100), "white")
    photo.paste("black", (0, 0, 150, 100))
    exif = Image.Exif()
    exif[0x0112] = 6

    frame = frame_of(image_file(photo, "turned.jpg", exif=exif, quality=95))

    assert (frame.width, frame.height) == (100, 300)
    assert frame.picture.shape == (300, 100, 3)
    assert frame.picture[10, 50].max() < 50
    assert frame.picture[290, 50].min() > 200


SAVED_AS = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "TIFF of a fax": {"compression": "tiff_deflate"},
}


def corners() -> Image.Image:
    """A picture of which no two corners are alike."""
    across = Image.linear_gradient("L").rotate(90).resize((120, 80))
    down = Image.linear_gradient("L").resize((120, 80))
    return Image.merge("RGB", (across, down, Image.new("L", (120, 80), 40)))


def as_taken(stored: Image.Image, orientation: int) -> Image.Image:
    noted = stored.copy()
    noted.getexif()[ExifTags.Base.Orientation] = orientation
    taken = ImageOps.exif_transpose(noted)
    assert taken is not None
    return taken


def shows(picture: np.ndarray, image: Image.Image) -> bool:
    seen = np.asarray(image.convert("RGB"))[:, :, ::-1].astype(int)
    return picture.shape == seen.shape and bool(np.abs(picture - seen).mean() < 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", SAVED_AS)
def test_every_orientation_is_heeded_once(image_file: Save, kind: str, orientation: int) -> None:
    note = Image.Exif()
    note[ExifTags.Base.Orientation] = orientation
    path = image_file(corners(), "noted", format=kind.split(maxsplit=1)[0], exif=note, **SAVED_AS[kind])
    taken = as_taken(corners(), orientation)

    frame = frame_of(path)
    with ImageFile(path, LIMITS) as image:
        is_upright = image.is_stored_upright(0)
        original = image.original(0)

    assert (frame.width, frame.height) == taken.size
    assert shows(frame.picture, taken)
    assert shows(np.asarray(original)[:, :, ::-1], taken)
    assert is_upright is (orientation == 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["1", "L", "CMYK"])
def test_a_tiff_is_turned_whatever_its_pixels_are(image_file: Save, mode: str, orientation: int) -> None:
    note = Image.Exif()
    note[ExifTags.Base.Orientation] = orientation
    stored = corners().convert(mode)

    frame = frame_of(image_file(stored, "noted", format="TIFF", exif=note))

    assert shows(frame.picture, as_taken(stored, orientation))


def test_frames_may_be_turned_each_in_its_own_way(tmp_path: Path) -> None:
    path = tmp_path / "fax.tif"
    with AppendingTiffWriter(str(path), new=True) as writer:
        for orientation in (6, 3, 8):
            corners().save(writer, "TIFF", tiffinfo={ExifTags.Base.Orientation: orientation})
            writer.newFrame()

    with ImageFile(path, LIMITS) as image:
        frames = [image.frame(index) for index in range(3)]

    for frame, orientation in zip(frames, (6, 3, 8), strict=True):
        taken = as_taken(corners(), orientation)
        assert (frame.width, frame.height) == taken.size
        assert shows(frame.picture, taken)


ODD_NOTES = {
    "a width in letters": (ExifTags.Base.ImageWidth, b"\0\2", b"120\0"),
    "a resolution in letters": (ExifTags.Base.XResolution, b"\0\2", b"072\0"),
    "a maker of two numbers": (ExifTags.Base.Make, b"\0\3", b"\0\1\0\2"),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("odd", ODD_NOTES)
def test_a_photograph_whose_notes_have_odd_types_is_read_and_turned(image_file: Save, kind: str, odd: str) -> None:
    tag, data_type, value = ODD_NOTES[odd]
    count = 2 if data_type == b"\0\3" else 4
    entries = [
        struct.pack(">H2sI4s", tag, data_type, count, value),
        struct.pack(">HHI4s", ExifTags.Base.Orientation, 3, 1, b"\0\6\0\0"),
    ]
    note = b"Exif\0\0MM\0*\0\0\0\x08\0\2" + b"".join(sorted(entries)) + bytes(4)
    path = image_file(corners(), "photo", format=kind, exif=note, **SAVED_AS[kind])

    frame = frame_of(path)
    with ImageFile(path, LIMITS) as image:
        original = image.original(0)

    assert (frame.width, frame.height) == original.size == (80, 120)
    assert shows(frame.picture, as_taken(corners(), 6))


def test_what_is_transparent_is_white(image_file: Save) -> None:
    frame = frame_of(image_file(Image.new("RGBA", (40, 40), (0, 0, 0, 0))))

    assert frame.picture.min() == 255


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "I;16", "F", "RGBX"])
def test_every_kind_of_pixel_comes_out_as_bgr(image_file: Save, mode: str) -> None:
    dark_on_light = Image.new("L", (60, 60), 255)
    dark_on_light.paste(0, (20, 20, 40, 40))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(dark_on_light).astype(np.uint16) * 257)
    else:
        image = (dark_on_light.convert("RGB") if mode in {"CMYK", "RGBX"} else dark_on_light).convert(mode)

    frame = frame_of(image_file(image, "page.tif"))

    assert frame.picture.shape == (60, 60, 3)
    assert frame.picture[30, 30].max() < 20
    assert frame.picture[5, 5].min() > 235


def test_colours_are_in_the_engines_order(image_file: Save) -> None:
    frame = frame_of(image_file(Image.new("RGB", (20, 20), (255, 0, 0))))

    assert frame.picture[0, 0].tolist() == [0, 0, 255]


def test_a_tiff_has_many_pages_and_an_animation_one(image_file: Save) -> None:
    pages = [Image.new("L", (50, 50), shade) for shade in (0, 100, 200)]
    tiff = image_file(pages[0], "pages.tif", save_all=True, append_images=pages[1:])
    gif = image_file(pages[0], "moving.gif", save_all=True, append_images=pages[1:])

    with ImageFile(tiff, LIMITS) as image:
        assert image.frames == 3
    with ImageFile(gif, LIMITS) as image:
        assert image.frames == 1
    assert frame_of(tiff, 2).picture[0, 0, 0] == 200


def test_a_large_photograph_is_decoded_small_and_keeps_its_true_size(image_file: Save) -> None:
    frame = frame_of(image_file(Image.new("RGB", (6000, 4000), "gray"), "large.jpg"))

    assert (frame.width, frame.height) == (6000, 4000)
    assert max(frame.picture.shape) <= 2000


@pytest.mark.parametrize("mode", ["RGBA", "L", "CMYK"])
def test_a_huge_image_is_made_small_and_stays_what_it_shows(image_file: Save, mode: str) -> None:
    image = Image.new("RGB", (5000, 4200), "white")
    image.paste("blue", (0, 0, 2500, 4200))

    frame = frame_of(image_file(image.convert(mode), "huge.tif"))

    height, width = frame.picture.shape[:2]
    assert (frame.width, frame.height, max(height, width)) == (5000, 4200, 2000)
    assert frame.picture[height // 2, width // 4].min() < 90
    assert frame.picture[height // 2, 3 * width // 4].min() > 240


def test_a_tall_image_keeps_its_width(image_file: Save) -> None:
    assert frame_of(image_file(Image.new("L", (400, 6000)))).picture.shape == (6000, 400, 3)


def test_more_pixels_than_allowed_are_refused_before_decoding(image_file: Save, tmp_path: Path) -> None:
    bomb = image_file(Image.new("1", (12000, 12000)), "bomb.png")
    liar = tmp_path / "liar.png"
    liar.write_bytes(png_header(100_000, 100_000))

    assert bomb.stat().st_size < 30_000
    assert code_of(bomb) == "image_too_large"
    assert code_of(liar) == "image_too_large"


@pytest.mark.parametrize("size", [(7, 100), (1, 1), (10, 600)])
def test_what_is_too_thin_to_hold_a_line_is_refused(image_file: Save, size: tuple[int, int]) -> None:
    assert code_of(image_file(Image.new("L", size))) == "image_too_small"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("damage", ["cut", "garbled"])
def test_damaged_images_are_refused_or_read_but_never_crash(
    image_file: Save, picture_of: Callable[..., Image.Image], kind: str, damage: str
) -> None:
    path = image_file(picture_of(), "damaged", format=kind)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 3]
    else:
        content[12:400] = bytes(388)
    path.write_bytes(content)

    assert outcome_of(path) in {"read", "corrupt_file", "image_too_small", "image_too_large"}


def test_a_cut_png_and_jpeg_are_damaged(image_file: Save, picture_of: Callable[..., Image.Image]) -> None:
    for kind in ("PNG", "JPEG"):
        path = image_file(picture_of(), "cut", format=kind)
        path.write_bytes(path.read_bytes()[:3000])

        assert code_of(path) == "corrupt_file"


def test_postscript_is_never_handed_to_an_interpreter(tmp_path: Path) -> None:
    path = tmp_path / "page.eps"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\nshowpage\n")

    assert code_of(path) == "corrupt_file"


def page(width: float, height: float) -> pypdfium2.PdfPage:
    document = pypdfium2.PdfDocument.new()
    return document.new_page(width, height)


@pytest.mark.parametrize(
    ("size", "pixels"),
    [((595, 842), (1755, 1240, 3)), ((1_000_000, 1_000_000), (2000, 2000, 3)), ((200, 300), (625, 417, 3))],
)
def test_pages_are_rendered_at_150_dpi_and_never_too_large(size: tuple[int, int], pixels: tuple[int, int, int]) -> None:
    picture = render(page(*size))

    assert picture is not None
    assert picture.shape == pixels


def test_a_tall_page_keeps_its_width_and_a_thread_of_a_page_is_not_rendered() -> None:
    tall = render(page(600, 14_000))

    assert tall is not None
    assert tall.shape[1] > 800
    assert tall.size <= 3 * 24_500_000
    assert render(page(14_000, 1)) is None


def test_a_tall_page_on_its_side_is_rendered_as_finely_as_one_that_stands() -> None:
    standing, lying = render(page(459, 5694)), render(page(5694, 459))

    assert standing is not None
    assert lying is not None
    assert lying.shape[:2] == standing.shape[1::-1]
    assert min(lying.shape[:2]) > 900


def test_a_scan_on_a_small_page_is_rendered_as_finely_as_it_was_scanned(
    tmp_path: Path, picture_of: Callable[..., Image.Image]
) -> None:
    scan = io.BytesIO()
    picture_of(size=(1200, 1600)).save(scan, "JPEG")
    document = pypdfium2.PdfDocument.new()
    image = pypdfium2.PdfImage.new(document)
    image.load_jpeg(scan)
    image.set_matrix(pypdfium2.PdfMatrix().scale(300, 400))
    small = document.new_page(300, 400)
    small.insert_obj(image)
    small.gen_content()

    picture = render(small)

    assert picture is not None
    assert picture.shape[0] == pytest.approx(1600, abs=5)
