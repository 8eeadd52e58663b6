"""Images as searchable PDFs: the same picture, of the same size, the right way up, with its text."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium
import pytest
from pikepdf import Name, Pdf
from PIL import ExifTags, Image, ImageChops, ImageCms, ImageOps
from PIL.TiffImagePlugin import AppendingTiffWriter

from alta_projects.formats.errors import UnreadableOriginalError
from alta_projects.formats.searchable.job import make_searchable

SIZE = (240, 160)


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture of which no two corners are alike."""
    across = Image.linear_gradient("L").resize(size)
    down = Image.linear_gradient("L").rotate(90).resize(size)
    image = Image.merge("RGB", (across, down, Image.new("L", size, 40)))
    return image.convert(mode)


@pytest.fixture
def searchable(tmp_path: Path, make: Any) -> Callable[..., Path]:
    """Makes the searchable PDF of an image file, with a line on each page."""

    def searchable(original: Path, media_type: str, *, pages: int = 1, rotation: int = 0) -> Path:
        lines = [make.line(f"Page {number}", 0.5, height=0.04) for number in range(1, pages + 1)]
        read = [make.page(line, number=number, rotation=rotation) for number, line in enumerate(lines, 1)]
        result, target = tmp_path / "result.json", tmp_path / "searchable.pdf"
        result.write_text(make.document(*read).model_dump_json())
        assert make_searchable(lambda _: None, original, media_type, result, target)
        assert {path.name for path in tmp_path.iterdir()} == {original.name, "result.json", "searchable.pdf"}
        return target

    return searchable


def shown(path: Path, size: tuple[int, int], number: int = 1) -> Image.Image:
    with pypdfium2.PdfDocument(path) as pdf:
        page = pdf[number - 1]
        return page.render(scale=size[0] / page.get_size()[0]).to_pil().convert("RGB").resize(size)


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of the samples, of 255."""
    grays = ImageChops.difference(one.convert("RGB"), other.convert("RGB")).convert("L").histogram()
    return sum(value * count for value, count in enumerate(grays)) / sum(grays)


def words_on(path: Path, number: int = 1) -> list[str]:
    with pypdfium2.PdfDocument(path) as pdf:
        return str(pdf[number - 1].get_textpage().get_text_range()).split()


KINDS = {
    "TIFF": ["RGB", "L", "1", "P", "RGBA", "LA", "CMYK", "I;16"],
    "PNG": ["RGB", "L", "1", "P", "RGBA", "LA", "I;16"],
    "WEBP": ["RGB", "RGBA"],
    "JPEG": ["RGB", "L", "CMYK"],
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in KINDS.items() for mode in modes])
def test_every_kind_of_picture_stays_what_it_is(tmp_path: Path, searchable: Any, kind: str, mode: str) -> None:
    original = tmp_path / f"original.{kind.lower()}"
    drawn = {
        "1": lambda: picture("L").point(lambda value: 255 * (value > 127)).convert("1", dither=Image.Dither.NONE),
        "P": lambda: picture().quantize(64, dither=Image.Dither.NONE),
        "I;16": lambda: picture("I").point(lambda value: value * 257).convert("I;16"),
    }
    drawn.get(mode, lambda: picture(mode))().save(original, kind, **({"lossless": True} if kind == "WEBP" else {}))

    made = searchable(original, f"image/{kind.lower()}")

    expected = ImageOps.autocontrast(picture("L")) if mode == "I;16" else Image.open(original).convert("RGB")
    # Inks are no exact colours: pdfium mixes them in another way than Pillow.
    assert difference(shown(made, SIZE), expected) < (40 if mode == "CMYK" else 3)
    assert words_on(made) == ["Page", "1"]


def test_what_lets_through_stands_on_white(tmp_path: Path, searchable: Any) -> None:
    original = tmp_path / "original.png"
    Image.new("RGBA", SIZE, (0, 0, 0, 0)).save(original)

    assert shown(searchable(original, "image/png"), SIZE).getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_is_taken_over_as_it_is(tmp_path: Path, searchable: Any, mode: str) -> None:
    original = tmp_path / "original.jpg"
    picture(mode).save(original, quality=70, progressive=True)

    with Pdf.open(searchable(original, "image/jpeg")) as pdf:
        image = pdf.pages[0].Resources.XObject.Image
        assert image.Filter == Name.DCTDecode
        assert image.read_raw_bytes() == original.read_bytes()


def test_a_photograph_in_another_format_becomes_a_jpeg(tmp_path: Path, searchable: Any) -> None:
    original = tmp_path / "original.webp"
    picture().save(original, quality=80)

    made = searchable(original, "image/webp")

    with Pdf.open(made) as pdf:
        assert pdf.pages[0].Resources.XObject.Image.Filter == Name.DCTDecode
    assert difference(shown(made, SIZE), Image.open(original)) < 2


def test_a_photograph_of_a_phone_stands_as_it_was_taken(tmp_path: Path, searchable: Any) -> None:
    original = tmp_path / "original.heic"
    original.write_bytes((Path(__file__).parent / "quarter_turn.heic").read_bytes())

    made = searchable(original, "image/heic")

    # Written turned clockwise, with a note to turn it back.
    assert difference(shown(made, SIZE), picture()) < 5
    assert words_on(made) == ["Page", "1"]


def test_colours_keep_their_profile(tmp_path: Path, searchable: Any) -> None:
    original = tmp_path / "original.png"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture().save(original, icc_profile=profile)

    with Pdf.open(searchable(original, "image/png")) as pdf:
        space = pdf.pages[0].Resources.XObject.Image.ColorSpace
        assert (space[0], space[1].read_bytes(), int(space[1].N)) == (Name.ICCBased, profile, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_is_heeded(tmp_path: Path, searchable: Any, kind: str, orientation: int) -> None:
    original, exif = tmp_path / "original", Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    picture().save(original, kind, exif=exif, quality=95, dpi=(300, 300))
    expected = as_taken(picture(), orientation)

    made = searchable(original, f"image/{kind.lower()}")

    assert inches_of(made) == pytest.approx((expected.width / 300, expected.height / 300), abs=0.001)
    assert difference(shown(made, expected.size), expected) < 3
    assert words_on(made) == ["Page", "1"]


def test_each_frame_is_turned_in_its_own_way_and_is_as_large_as_it_was(tmp_path: Path, searchable: Any) -> None:
    original, orientations = tmp_path / "original.tif", (6, 3, 1, 8)
    with AppendingTiffWriter(str(original), new=True) as writer:
        for orientation in orientations:
            note = {ExifTags.Base.Orientation: orientation}
            picture().save(writer, "TIFF", tiffinfo=note, dpi=(200, 100), compression="tiff_lzw")
            writer.newFrame()

    made = searchable(original, "image/tiff", pages=4)

    for number, orientation in enumerate(orientations, 1):
        expected = as_taken(picture(), orientation)
        inches = (240 / 200, 160 / 100)
        assert inches_of(made, number) == pytest.approx(inches[::-1] if orientation > 4 else inches, abs=0.001)
        assert difference(shown(made, expected.size, number), expected) < 3


def as_taken(stored: Image.Image, orientation: int) -> Image.Image:
    noted = stored.copy()
    noted.getexif()[ExifTags.Base.Orientation] = orientation
    taken = ImageOps.exif_transpose(noted)
    assert taken is not None
    return taken


def inches_of(path: Path, number: int = 1) -> tuple[float, float]:
    with pypdfium2.PdfDocument(path) as pdf:
        width, height = pdf[number - 1].get_size()
        return width / 72, height / 72


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_page_is_turned_as_its_text_was_read(tmp_path: Path, searchable: Any, rotation: int) -> None:
    original = tmp_path / "original.png"
    picture().save(original)
    upright = picture().rotate(-rotation, expand=True)

    made = searchable(original, "image/png", rotation=rotation)

    assert difference(shown(made, upright.size), upright) < 3
    with pypdfium2.PdfDocument(made) as pdf:
        # The line begins at 0.1 across and 0.5 down the upright page, which a viewer shows upright now.
        page = pdf[0]
        box = page.get_textpage().get_charbox(0)
        corners = [page_share(page, *corner) for corner in (box[:2], box[2:])]
    assert (min(across for across, _ in corners), min(down for _, down in corners)) == pytest.approx(
        (0.1, 0.5), abs=0.01
    )


def page_share(page: Any, x: float, y: float) -> tuple[float, float]:
    across, down = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDF_PageToDevice(page, 0, 0, 10_000, 10_000, 0, x, y, across, down)
    return across.value / 10_000, down.value / 10_000


def test_a_page_is_as_large_as_its_resolution_says(tmp_path: Path, searchable: Any) -> None:
    sizes = {}
    for name, more in {"none": {}, "fax": {"dpi": (200, 100)}, "silly": {"dpi": (0.001, 0.001)}}.items():
        original = tmp_path / "original.tif"
        picture().save(original, "TIFF", **more)
        with Pdf.open(searchable(original, "image/tiff")) as pdf:
            sizes[name] = [round(float(side), 1) for side in pdf.pages[0].mediabox[2:]]

    assert sizes == {"none": [57.6, 38.4], "fax": [86.4, 115.2], "silly": [57.6, 38.4]}


def test_each_frame_is_a_page(tmp_path: Path, searchable: Any) -> None:
    original = tmp_path / "original.tif"
    frames = [picture(), picture("L", (100, 300)), picture("1")]
    frames[0].save(original, save_all=True, append_images=frames[1:], compression="tiff_lzw")

    made = searchable(original, "image/tiff", pages=3)

    assert [words_on(made, number) for number in (1, 2, 3)] == [["Page", "1"], ["Page", "2"], ["Page", "3"]]
    assert difference(shown(made, (100, 300), 2), frames[1]) < 3


def test_a_long_document_is_put_together_from_parts(
    tmp_path: Path, searchable: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alta_projects.formats.searchable.image_pdf._PART_BYTES", 1)
    original = tmp_path / "original.tif"
    frames = [Image.new("L", (64, 64), shade) for shade in range(0, 250, 25)]
    frames[0].save(original, save_all=True, append_images=frames[1:])

    made = searchable(original, "image/tiff", pages=10)

    assert [shown(made, (64, 64), n).getpixel((32, 32)) for n in (1, 5, 10)] == [(0,) * 3, (100,) * 3, (225,) * 3]
    assert words_on(made, 10) == ["Page", "10"]


@pytest.mark.parametrize("damage", ["truncated", "other", "bomb"])
def test_a_damaged_image_is_refused_in_words(tmp_path: Path, searchable: Any, damage: str) -> None:
    original = tmp_path / "original.png"
    picture().save(original)
    whole = original.read_bytes()
    # The size of an image stands at 16 in a PNG.
    forged = whole[:16] + (100_000).to_bytes(4, "big") * 2 + whole[24:]
    original.write_bytes({"truncated": whole[: len(whole) // 2], "other": b"GIF89a" + whole, "bomb": forged}[damage])

    with pytest.raises(UnreadableOriginalError, match="image"):
        searchable(original, "image/png")
