"""Photographs as phones take them: HEIC, a picture of HEVC in boxes of ISO base media (ISO/IEC 23008-12)."""

import random
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw

from alta_common.engines.port import InputError
from alta_ocr.engines.limits import DocumentLimits
from alta_ocr.engines.media import media_type_of
from alta_ocr.engines.rendering import ImageFile

LIMITS = DocumentLimits()
TO_CODEC = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hvc1", b"hvcC")
# What stands in a box before the boxes that it holds.
FIELDS_OF = {b"stsd": 8, b"hvc1": 78}

Heic = Callable[..., bytes]


def box(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, parts)), kind) + b"".join(parts)


def full_box(kind: bytes, version: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24), *parts)


def content_of(data: bytes, path: tuple[bytes, ...]) -> bytes:
    """Return what is in the box at `path`."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind == path[0]:
            content = data[at + 8 : at + size]
            return content_of(content[FIELDS_OF.get(kind, 0) :], path[1:]) if path[1:] else content
        at += size
    raise KeyError(path)


def film_of(image: Image.Image) -> bytes:
    """Return an MP4 of one frame: our HEIC library only reads, but FFmpeg's encoder of films is at hand."""
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp4") as film:
        quiet = "log-level=none:info=0:bframes=0"
        stream = film.add_stream("libx265", rate=1, options={"x265-params": quiet, "crf": "18", "preset": "ultrafast"})
        stream.width, stream.height = image.size
        stream.pix_fmt, stream.codec_tag = "yuv420p", "hvc1"
        frame = av.VideoFrame.from_image(image)
        frame.pts = 0
        for packet in [*stream.encode(frame), *stream.encode()]:
            film.mux(packet)
    return buffer.getvalue()


def heic_of(image: Image.Image, *, quarter_turns: int = 0, size: tuple[int, int] | None = None) -> bytes:
    """Return a HEIC of an image, to be shown turned counter-clockwise; `size` is what it says of itself."""
    film = film_of(image)
    picture, codec = content_of(film, (b"mdat",)), content_of(film, TO_CODEC)
    properties = box(
        b"ipco",
        box(b"hvcC", codec),
        full_box(b"ispe", 0, struct.pack(">II", *(size or image.size))),
        box(b"irot", bytes([quarter_turns])),
    )
    applied = full_box(b"ipma", 0, struct.pack(">IHB", 1, 1, 3), b"\x81\x02\x83")
    kind = box(b"ftyp", b"heic", bytes(4), b"mif1heic")

    def head(offset: int) -> bytes:
        place = struct.pack(">BBHHHHII", 0x44, 0, 1, 1, 0, 1, offset, len(picture))
        item = full_box(b"infe", 2, struct.pack(">HH4s", 1, 0, b"hvc1"), b"\0")
        return kind + full_box(
            b"meta",
            0,
            full_box(b"hdlr", 0, bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", 0, struct.pack(">H", 1)),
            full_box(b"iloc", 0, place),
            full_box(b"iinf", 0, struct.pack(">H", 1), item),
            box(b"iprp", properties, applied),
        )

    return head(len(head(0)) + 8) + box(b"mdat", picture)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """Dark above, light below, with words."""
    image = Image.new("RGB", (320, 240), "white")
    image.paste("black", (0, 0, 320, 60))
    ImageDraw.Draw(image).text((20, 120), "Good morning", fill=0, font_size=40)
    return image


def outcome_of(path: Path) -> str:
    try:
        media_type_of(path)
        with ImageFile(path, LIMITS) as image:
            image.frame(0)
    except InputError as refused:
        return refused.code
    return "read"


def test_a_photograph_of_a_phone_is_read(photo: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "IMG_0001.JPG"
    path.write_bytes(heic_of(photo))

    with ImageFile(path, LIMITS) as image:
        frame = image.frame(0)
        original = image.original(0)

    assert media_type_of(path) == "image/heic"
    assert (frame.width, frame.height, image.frames) == (320, 240, 1)
    assert np.abs(frame.picture.astype(int) - np.asarray(photo)[:, :, ::-1]).mean() < 3
    assert (original.mode, original.size) == ("RGB", (320, 240))


def test_it_is_turned_as_the_phone_says(photo: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "turned.heic"
    path.write_bytes(heic_of(photo, quarter_turns=1))

    with ImageFile(path, LIMITS) as image:
        frame = image.frame(0)

    assert (frame.width, frame.height) == (240, 320)
    assert frame.picture[160, 20].max() < 50
    assert frame.picture[10, 220].min() > 200


def test_a_photograph_that_is_cut_off_or_damaged_is_said_to_be(photo: Image.Image, tmp_path: Path) -> None:
    whole, path, choice = heic_of(photo), tmp_path / "broken.heic", random.Random(1)
    path.write_bytes(whole[: len(whole) // 2])
    assert outcome_of(path) == "corrupt_file"

    outcomes = set()
    for _ in range(150):
        broken = bytearray(whole)
        for _ in range(4):
            broken[choice.randrange(len(broken))] = choice.randrange(256)
        path.write_bytes(broken)
        outcomes.add(outcome_of(path))

    assert outcomes <= {"read", "corrupt_file", "image_too_large", "image_too_small", "unsupported_media_type"}
    assert "corrupt_file" in outcomes


def test_a_photograph_that_lies_about_its_size_is_no_bomb(photo: Image.Image, tmp_path: Path) -> None:
    for size, expected in (((20_000, 20_000), "image_too_large"), ((64, 64), "corrupt_file")):
        path = tmp_path / "lying.heic"
        path.write_bytes(heic_of(photo, size=size))

        assert outcome_of(path) == expected


@pytest.mark.parametrize(
    ("brands", "expected"),
    [
        (b"heic" + bytes(4) + b"mif1heic", "corrupt_file"),
        (b"heix" + bytes(4) + b"mif1heix", "corrupt_file"),
        (b"mif1" + bytes(4) + b"mif1heic", "corrupt_file"),
        (b"mif1" + bytes(4) + b"mif1avif", "unsupported_media_type"),
        (b"avif" + bytes(4) + b"mif1heic", "corrupt_file"),
        (b"isom" + bytes(4) + b"heicmp41", "unsupported_media_type"),
        (b"qt  " + bytes(8), "unsupported_media_type"),
    ],
)
def test_other_boxes_are_not_taken_for_photographs(tmp_path: Path, brands: bytes, expected: str) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(box(b"ftyp", brands) + bytes(32))

    assert outcome_of(path) == expected
