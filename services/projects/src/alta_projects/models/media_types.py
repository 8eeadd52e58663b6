"""What kind of file some bytes are: decided by their magic numbers at offset 0, never by name or declared type."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import filetype

HEAD_BYTES = 4096
"""How much of a file `recognise` wants to see."""

_UTF8_TAIL = 3

Test = Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class MediaType:
    """One kind of file: its media type, its everyday name, and how its first bytes look."""

    media_type: str
    name: str
    fits: Test


def _starts(*magics: bytes) -> Test:
    return lambda head: head.startswith(magics)


def _riff(form: bytes) -> Test:
    return lambda head: head[:4] in {b"RIFF", b"RF64"} and head[8:12] == form


def _aiff(head: bytes) -> bool:
    return head.startswith(b"FORM") and head[8:12] in {b"AIFF", b"AIFC"}


def _frame(second: bytes, third: bytes) -> Test:
    """Fit a frame's head: all ones, then one of `second`, then one of `third`."""
    head_of_frame = re.compile(b"\xff[" + re.escape(second) + b"][" + re.escape(third) + b"]")
    return lambda head: head_of_frame.match(head) is not None


# Layer III of MPEG 1, 2 or 2.5, with or without checksum; a bit rate and a sampling rate that exist (ISO 11172-3).
_mp3_frame = _frame(
    b"\xe2\xe3\xf2\xf3\xfa\xfb",
    bytes(rate << 4 | sampling << 2 | rest for rate in range(1, 15) for sampling in range(3) for rest in range(4)),
)
# Layer 0, a sampling rate that exists (ISO 13818-7).
_adts_frame = _frame(
    b"\xf0\xf1\xf8\xf9",
    bytes(profile << 6 | sampling << 2 | rest for profile in range(4) for sampling in range(13) for rest in range(4)),
)


def _mp3(head: bytes) -> bool:
    return head.startswith(b"ID3") or _mp3_frame(head)


def _iso_media(head: bytes) -> bool:
    """ISO base media (MP4, M4A, QuickTime, 3GPP), but not the pictures that share the container."""
    return head[4:8] == b"ftyp" and head[8:12] not in {b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis"}


def _webm(head: bytes) -> bool:
    """EBML whose document type, one of the first elements, is `webm` (RFC 8794)."""
    return head.startswith(b"\x1a\x45\xdf\xa3") and b"webm" in head[4:64]


DOCUMENT_TYPES = (
    MediaType("application/pdf", "PDF", _starts(b"%PDF-")),
    MediaType("image/png", "PNG", _starts(b"\x89PNG\r\n\x1a\n")),
    MediaType("image/jpeg", "JPEG", _starts(b"\xff\xd8\xff")),
    MediaType("image/tiff", "TIFF", _starts(b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")),
    MediaType("image/webp", "WebP", _riff(b"WEBP")),
)

VOICE_TYPES = (
    MediaType("audio/wav", "WAV", _riff(b"WAVE")),
    MediaType("audio/flac", "FLAC", _starts(b"fLaC")),
    MediaType("audio/ogg", "Ogg", _starts(b"OggS")),
    MediaType("audio/mp4", "M4A or MP4", _iso_media),
    MediaType("audio/webm", "WebM", _webm),
    MediaType("audio/aiff", "AIFF", _aiff),
    MediaType("audio/amr", "AMR", _starts(b"#!AMR")),
    MediaType("audio/aac", "AAC", _adts_frame),
    MediaType("audio/mpeg", "MP3", _mp3),
)


def recognise(head: bytes, allowed: tuple[MediaType, ...]) -> str | None:
    """Return the media type of a file that begins with `head`, or None when it is none of the allowed ones."""
    return next((one.media_type for one in allowed if one.fits(head)), None)


def describe(head: bytes) -> str:
    """Return in a few words what a file seems to be, for somebody whose file was refused."""
    found = filetype.guess(head)
    if found is not None:
        return str(found.mime)
    if recognise(head, DOCUMENT_TYPES + VOICE_TYPES):
        return str(recognise(head, DOCUMENT_TYPES + VOICE_TYPES))
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
    for marker, name in ((b"<!doctype html", "HTML"), (b"<html", "HTML"), (b"<svg", "SVG"), (b"<?xml", "XML")):
        if start.startswith(marker):
            return name
    return "plain text" if _is_text(head) else "unknown data"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        # A character may have been cut in two at the end of what we saw.
        if error.start < len(head) - _UTF8_TAIL:
            return False
        text = head[: error.start].decode()
    return all(character.isprintable() or character in "\t\r\n\f" for character in text.removeprefix("\ufeff"))
