"""Pages as images: what a person sees in the file, the right way up, in the size that was asked for."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pikepdf import Array, Dictionary, Name, Pdf, String
from PIL import ExifTags, Image, ImageChops, ImageOps

from alta_projects.api.page_images import preferred
from alta_projects.api.problems import NotAcceptableError
from alta_projects.formats.errors import NoSuchPageError, UnreadableOriginalError
from alta_projects.formats.page_image import ImageKind, WantedImage, draw_page

SIZE = (240, 160)

Draw = Callable[..., Image.Image]


def picture(size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture of which no two corners are alike."""
    across = Image.linear_gradient("L").resize(size)
    down = Image.linear_gradient("L").rotate(90).resize(size)
    return Image.merge("RGB", (across, down, Image.new("L", size, 40)))


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of the samples, of 255."""
    grays = ImageChops.difference(one.convert("RGB"), other.convert("RGB")).convert("L").histogram()
    return sum(value * count for value, count in enumerate(grays)) / sum(grays)


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Draws a page of a file with this content."""

    def draw(
        content: bytes, media_type: str, *, number: int = 1, width: int = 240, rotation: int = 0, kind: str = "PNG"
    ) -> Image.Image:
        path = tmp_path / "original"
        path.write_bytes(content)
        wanted = WantedImage(number, width, rotation, ImageKind(kind))
        return Image.open(io.BytesIO(draw_page(lambda _: None, path, media_type, wanted)))

    return draw


def saved(image: Image.Image, kind: str, **more: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def a_pdf(**page: Any) -> bytes:
    """A PDF of one page, 200 by 100, whose left half is red."""
    file = io.BytesIO()
    with Pdf.new() as pdf:
        sheet = pdf.add_blank_page(page_size=(200, 100))
        sheet.Contents = pdf.make_stream(b"1 0 0 rg 0 0 100 100 re f")
        for name, value in page.items():
            sheet[f"/{name}"] = value
        pdf.save(file)
    return file.getvalue()


def is_red(image: Image.Image, across: float, down: float) -> bool:
    red, green, _ = image.convert("RGB").getpixel((int(across * image.width), int(down * image.height)))
    return red > 150 and green < 100


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_is_heeded(draw: Draw, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    noted = picture()
    noted.getexif()[ExifTags.Base.Orientation] = orientation
    expected = ImageOps.exif_transpose(noted)
    content = saved(picture(), kind, exif=exif, quality=95)

    drawn = draw(content, f"image/{kind.lower()}", width=expected.width)

    assert drawn.size == expected.size
    assert difference(drawn, expected) < 3


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_tiff_is_turned_whatever_its_pixels_are(draw: Draw, mode: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stored = picture().convert(mode)

    drawn = draw(saved(stored, "TIFF", exif=exif), "image/tiff", width=stored.height)

    expected = stored.convert("RGB").rotate(-90, expand=True)
    assert drawn.size == expected.size
    assert difference(drawn.convert("RGB"), expected) < 3


def test_a_photograph_whose_notes_have_odd_types_is_drawn_and_turned(draw: Draw) -> None:
    # Its width is written in letters; then that it is to be turned clockwise.
    entries = struct.pack(">HHI4s", 256, 2, 4, b"240\0") + struct.pack(">HHI4s", 274, 3, 1, b"\0\6\0\0")
    note = b"Exif\0\0MM\0*\0\0\0\x08\0\2" + entries + bytes(4)

    drawn = draw(saved(picture(), "JPEG", exif=note, quality=95), "image/jpeg", width=160)

    assert drawn.size == (160, 240)
    assert difference(drawn, picture().rotate(-90, expand=True)) < 3


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_an_image_is_turned_as_its_text_was_read(draw: Draw, rotation: int) -> None:
    upright = picture().rotate(-rotation, expand=True)

    drawn = draw(saved(picture(), "PNG"), "image/png", width=upright.width, rotation=rotation)

    assert (drawn.size, difference(drawn, upright) < 2) == (upright.size, True)


@pytest.mark.parametrize("width", [16, 100, 240, 1000])
def test_it_is_as_wide_as_asked_for(draw: Draw, width: int) -> None:
    for content, media_type in ((saved(picture(), "JPEG"), "image/jpeg"), (a_pdf(), "application/pdf")):
        drawn = draw(content, media_type, width=width)
        ratio = 3 / 2 if media_type == "image/jpeg" else 2
        assert (drawn.width, drawn.height) == (width, pytest.approx(width / ratio, abs=1))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
@pytest.mark.parametrize("mode", ["1", "P", "LA", "CMYK", "I;16"])
def test_every_picture_can_be_seen(draw: Draw, kind: str, mode: str) -> None:
    content = saved(picture().convert("L" if mode == "I;16" else mode).convert(mode), "TIFF")

    drawn = draw(content, "image/tiff", kind=kind)

    assert (drawn.format, drawn.size) == (kind, SIZE)


def test_a_frame_is_a_page(draw: Draw) -> None:
    frames = [picture(), picture((80, 80))]
    content = saved(frames[0], "TIFF", save_all=True, append_images=frames[1:])

    assert draw(content, "image/tiff", number=2).size == (240, 240)
    with pytest.raises(NoSuchPageError, match="2 pages"):
        draw(content, "image/tiff", number=3)


@pytest.mark.parametrize(
    ("page", "rotation", "ratio", "red", "white"),
    [
        ({}, 0, 2, (0.2, 0.5), (0.8, 0.5)),
        ({"Rotate": 90}, 0, 0.5, (0.5, 0.2), (0.5, 0.8)),
        ({"Rotate": 90}, 270, 2, (0.2, 0.5), (0.8, 0.5)),
        ({"CropBox": Array([50, 0, 150, 100])}, 0, 1, (0.4, 0.5), (0.6, 0.5)),
        ({"CropBox": Array([500, 500, 600, 600])}, 0, 2, (0.2, 0.5), (0.8, 0.5)),
        ({"CropBox": Array([0, 0, 100, 50]), "UserUnit": 3}, 180, 2, (0.5, 0.5), None),
    ],
    ids=str,
)
def test_a_page_of_a_pdf_is_what_a_viewer_shows(
    draw: Draw, page: dict[str, Any], rotation: int, ratio: float, red: Any, white: Any
) -> None:
    drawn = draw(a_pdf(**page), "application/pdf", width=120, rotation=rotation)

    assert drawn.width / drawn.height == pytest.approx(ratio, rel=0.02)
    assert is_red(drawn, *red)
    assert white is None or not is_red(drawn, *white)


def test_what_people_filled_in_is_seen(draw: Draw) -> None:
    file = io.BytesIO()
    with Pdf.new() as pdf:
        page = pdf.add_blank_page(page_size=(200, 100))
        look = pdf.make_stream(b"1 0 0 rg 0 0 50 50 re f", Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 50, 50])
        field = Dictionary(
            Type=Name.Annot,
            Subtype=Name.Widget,
            FT=Name.Tx,
            T=String("name"),
            V=String("Ada"),
            Rect=Array([100, 25, 150, 75]),
            F=4,
            AP=Dictionary(N=look),
        )
        page.Annots = pdf.make_indirect(Array([pdf.make_indirect(field)]))
        pdf.Root.AcroForm = Dictionary(Fields=page.Annots)
        pdf.save(file)

    drawn = draw(file.getvalue(), "application/pdf", width=200)

    assert is_red(drawn, 0.6, 0.5)
    assert not is_red(drawn, 0.3, 0.5)


@pytest.mark.parametrize(("content", "media_type"), [(b"%PDF-1.7", "application/pdf"), (b"\x89PNG\r\n", "image/png")])
def test_a_damaged_original_is_refused_in_words(draw: Draw, content: bytes, media_type: str) -> None:
    with pytest.raises(UnreadableOriginalError, match="damaged"):
        draw(content, media_type)


@pytest.mark.parametrize("shape", [(1, 1), (1, 10_000), (10_000, 1), (3, 4)])
def test_no_image_is_larger_than_we_draw(shape: tuple[float, float]) -> None:
    width, height = WantedImage(1, 4000, 0, ImageKind.JPEG).size_for(*shape)

    assert 1 <= width <= 4000
    assert 1 <= height <= 16_000
    assert width * height <= 40_000_000


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "JPEG"),
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", "JPEG"),
        ("image/webp, image/*;q=0.5", "WEBP"),
        ("IMAGE/PNG;Q=0.2", "PNG"),
        ("image/jpeg;q=0, image/*;q=nonsense, */*", None),
        ("text/html", None),
        ("", None),
    ],
)
def test_the_client_chooses(accept: str, kind: str | None) -> None:
    if kind is None:
        with pytest.raises(NotAcceptableError):
            preferred(accept)
    else:
        assert preferred(accept) is ImageKind(kind)
