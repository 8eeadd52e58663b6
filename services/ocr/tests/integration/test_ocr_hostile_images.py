"""Images and other files that are broken, that lie, or that are not what they are called: each with its one answer.

All of them go through real workers. `READ` is success with the word that stands on the picture, `BLANK` success with
a warning; anything else is the code of a failure.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from alta_common.engines.port import EngineError, SourceFile
from alta_common.workers.pool import WorkerPool
from alta_ocr.engines.engine import OcrOptions
from alta_ocr.engines.limits import DocumentLimits
from alta_ocr.engines.local import LocalConfig, LocalEngine

pytestmark = pytest.mark.asyncio(loop_scope="session")

READ, BLANK = "read", "no_text"
WORD = "Harbour"


def picture(mode: str = "RGB", size: tuple[int, int] = (420, 140)) -> Image.Image:
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((60, 40), WORD, fill="black", font=ImageFont.load_default(48))
    return image.convert(mode)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG, black and white, that says it is so large; `data` are its rows."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def tiff_of_frames(count: int) -> bytes:
    frame = Image.new("1", (20, 20), 1)
    return saved(frame, "TIFF", save_all=True, append_images=[frame] * (count - 1))


def tiff_in_a_circle() -> bytes:
    """A TIFF whose only page says that it is its own successor."""
    content = bytearray(saved(picture("L"), "TIFF"))
    (directory,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, directory)
    struct.pack_into("<I", content, directory + 2 + 12 * entries, directory)
    return bytes(content)


def flipped(content: bytes) -> bytes:
    """Content with a few hundred of its bytes changed, from its middle on."""
    noise = np.random.default_rng(5)
    damaged = np.frombuffer(content, dtype=np.uint8).copy()
    damaged[noise.integers(len(damaged) // 2, len(damaged), 300)] ^= 0x55
    return damaged.tobytes()


def webp_canvas(side: int) -> bytes:
    """A WebP whose header promises a canvas of this size and brings a small picture."""
    chunk = saved(picture(), "WEBP")[12:]
    head = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (side - 1).to_bytes(3, "little") * 2
    return b"RIFF" + struct.pack("<I", 4 + len(head) + len(chunk)) + b"WEBP" + head + chunk


def archive(name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, "0" * 1_000_000)
    return content.getvalue()


def noise() -> bytes:
    return saved(Image.fromarray(np.random.default_rng(1).integers(0, 255, (500, 500, 3), dtype=np.uint8)), "PNG")


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "corrupt_file"),
    "a bomb of 144 megapixels": (lambda: saved(Image.new("1", (12_000, 12_000)), "PNG"), "image_too_large"),
    "a header of ten gigapixels": (lambda: png(100_000, 100_000, bytes(100)), "image_too_large"),
    "a header without size": (lambda: png(0, 0), "corrupt_file"),
    "rows that are not there": (lambda: png(800, 800, bytes(100)), "corrupt_file"),
    "a GIF of four gigapixels": (
        lambda: b"GIF89a" + b"\xff" * 4 + bytes(3) + b"," + bytes(4) + b"\x05\x00\x05\x00\x00\x02\x02\x4c\x01\x00;",
        "image_too_large",
    ),
    "a BMP of four gigapixels": (
        lambda: b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 65535, 65535, 1, 24, 0, 0, 0, 0, 0, 0),
        "image_too_large",
    ),
    "a WebP of 268 megapixels": (lambda: webp_canvas(16_384), "image_too_large"),
    "a TIFF of too many pages": (lambda: tiff_of_frames(101), "too_many_pages"),
    "a TIFF that runs in a circle": (tiff_in_a_circle, READ),
    "a TIFF without pages": (lambda: b"II*\x00" + struct.pack("<I", 0), "corrupt_file"),
    "a JPEG cut off": (lambda: saved(picture(), "JPEG")[:700], "corrupt_file"),
    "a JPEG of a header": (lambda: b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "corrupt_file"),
    "a PNG with bytes changed": (lambda: flipped(noise()), "corrupt_file"),
    "a JPEG with a PDF behind it": (lambda: saved(picture(), "JPEG") + b"%PDF-1.7\n%%EOF", READ),
    "a JPEG that is an archive as well": (lambda: saved(picture(), "JPEG") + archive("a.txt"), READ),
    "one pixel": (lambda: saved(Image.new("L", (1, 1)), "PNG"), "image_too_small"),
    "a thread": (lambda: saved(Image.new("L", (10, 600)), "PNG"), "image_too_small"),
    "a ribbon": (lambda: saved(Image.new("L", (12_000, 300), 255), "PNG"), BLANK),
    "noise": (noise, BLANK),
    "an animation": (
        lambda: saved(picture("P"), "GIF", save_all=True, append_images=[Image.new("P", (420, 140))] * 200),
        READ,
    ),
    "PostScript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported_media_type"),
    "an SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><text>Harbour</text></svg>', "unsupported_media_type"),
    "a web page": (lambda: b"<!doctype html><img src='file:///etc/passwd'>", "unsupported_media_type"),
    "a letter of an office program": (lambda: archive("word/document.xml"), "unsupported_media_type"),
    "a program": (lambda: b"\x7fELF\x02\x01\x01" + bytes(500), "unsupported_media_type"),
    "a recording": (lambda: b"RIFF\x24\x00\x00\x00WAVEfmt ", "unsupported_media_type"),
}
"""What is in the file, called scan.pdf, and what becomes of it."""


@pytest.fixture
def engine(pool: WorkerPool) -> LocalEngine:
    """The session's workers with limits that a small file can reach."""
    return LocalEngine(pool, LocalConfig(2, 60.0, DocumentLimits(max_pages=100, max_pixels=4_000_000)))


async def answer_of(engine: LocalEngine, path: Path) -> tuple[str, bool]:
    try:
        reading = await engine.recognize(SourceFile(path, "application/pdf"), OcrOptions(), lambda *_: None)
    except EngineError as error:
        return error.code, error.retryable
    return (READ if reading.text == WORD else ",".join(reading.warnings) or reading.text), False


@pytest.mark.parametrize("kind", HOSTILE)
async def test_every_hostile_file_has_its_answer(engine: LocalEngine, tmp_path: Path, kind: str) -> None:
    make, answer = HOSTILE[kind]
    path = tmp_path / "scan.pdf"
    path.write_bytes(make())

    assert await answer_of(engine, path) == (answer, False)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16"])
async def test_every_kind_of_pixel_is_read(engine: LocalEngine, tmp_path: Path, mode: str) -> None:
    image = picture("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    path = tmp_path / "scan.tif"
    path.write_bytes(saved(image, "TIFF"))

    assert await answer_of(engine, path) == (READ, False)


async def test_pages_of_one_file_may_differ_in_size_and_depth(engine: LocalEngine, tmp_path: Path) -> None:
    pages = [picture("1"), picture("RGB", (900, 1200)), picture("L", (420, 1400))]
    path = tmp_path / "scan.tif"
    path.write_bytes(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))

    reading = await engine.recognize(SourceFile(path, "image/tiff"), OcrOptions(), lambda *_: None)

    assert [page.text for page in reading.pages] == [WORD] * 3
