from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from alta_common.engines.port import InputError
from alta_ocr.engines.limits import DocumentLimits
from alta_ocr.engines.media import media_type_of
from alta_ocr.engines.rendering import ImageFile


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("PNG", "image/png"),
        ("JPEG", "image/jpeg"),
        ("TIFF", "image/tiff"),
        ("GIF", "image/gif"),
        ("BMP", "image/bmp"),
        ("WEBP", "image/webp"),
    ],
)
def test_a_file_is_what_its_first_bytes_say(image_file: Callable[..., Path], kind: str, media_type: str) -> None:
    path = image_file(Image.new("RGB", (20, 20)), "misnamed.pdf", format=kind)

    assert media_type_of(path) == media_type


def test_what_uploads_take_in_is_read_here_too(image_file: Callable[..., Path]) -> None:
    path = image_file(Image.new("L", (20, 30), 255), "large.tif", format="TIFF", big_tiff=True)

    assert path.read_bytes()[:4] == b"II+\x00"
    assert media_type_of(path) == "image/tiff"
    with ImageFile(path, DocumentLimits()) as image:
        assert (image.frames, image.frame(0).height) == (1, 30)


def test_a_pdf_begins_at_its_first_byte(tmp_path: Path) -> None:
    pdf, disguised = tmp_path / "a.pdf", tmp_path / "b.pdf"
    pdf.write_bytes(b"%PDF-1.4\n")
    disguised.write_bytes(b"<html>" + b"%PDF-1.4\n")

    assert media_type_of(pdf) == "application/pdf"
    with pytest.raises(InputError) as refused:
        media_type_of(disguised)
    assert refused.value.code == "unsupported_media_type"


@pytest.mark.parametrize(
    "content",
    [
        b"just text",
        b"PK\x03\x04 a zip",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0",
        b"\x7fELF",
        b"RIFF\x00\x00\x00\x00WAVE",
        b"\x00",
    ],
)
def test_other_files_are_not_read_whatever_their_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "invoice.pdf"
    path.write_bytes(content)

    with pytest.raises(InputError) as refused:
        media_type_of(path)

    assert refused.value.code == "unsupported_media_type"


def test_an_empty_file_is_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "empty.pdf"
    path.touch()

    with pytest.raises(InputError) as refused:
        media_type_of(path)

    assert refused.value.code == "corrupt_file"
