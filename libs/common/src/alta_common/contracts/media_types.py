"""The kinds of file that we take, for projects and the engines alike: decided by magic numbers at offset 0.

Names and declared types are hints. That a file is what its first bytes promise is proven by decoding it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

HEAD_BYTES = 4096
"""How much of a file `recognise` wants to see."""

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


# Layers II and III of MPEG 1, 2 or 2.5, with or without checksum; a bit rate and a sampling rate that exist
# (ISO 11172-3). Nobody uses layer I, and text in UTF-16 begins like it.
_mpeg_frame = _frame(
    b"\xe2\xe3\xe4\xe5\xf2\xf3\xf4\xf5\xfa\xfb\xfc\xfd",
    bytes(rate << 4 | sampling << 2 | rest for rate in range(1, 15) for sampling in range(3) for rest in range(4)),
)
# Layer 0, a sampling rate that exists (ISO 13818-7).
_adts_frame = _frame(
    b"\xf0\xf1\xf8\xf9",
    bytes(profile << 6 | sampling << 2 | rest for profile in range(4) for sampling in range(13) for rest in range(4)),
)

_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")

# A sampling rate that exists, and the version of a bit stream that decoders know (ETSI TS 102 366, annex E included).
_AC3_NO_RATE, _AC3_LAST_VERSION = 3, 16
_AC3_HEAD = 6  # bytes; the last of them holds the version


# Major brands of ISO base media that hold pictures and not sound: those in HEVC, and others.
_HEVC_BRANDS = {b"heic", b"heix", b"heim", b"heis"}
_PICTURE_BRANDS = _HEVC_BRANDS | {b"hevc", b"hevx", b"mif1", b"mif2", b"msf1", b"avif", b"avis"}


def _mpeg_audio(head: bytes) -> bool:
    return head.startswith(b"ID3") or _mpeg_frame(head)


def _ac3(head: bytes) -> bool:
    has_frame = head.startswith(b"\x0b\x77") and len(head) >= _AC3_HEAD
    return has_frame and head[4] >> 6 != _AC3_NO_RATE and head[5] >> 3 <= _AC3_LAST_VERSION


def is_heic(head: bytes) -> bool:
    """Fit a picture in HEVC, or a collection of them, as phones take photographs (ISO/IEC 23008-12, annex B)."""
    if head[4:8] != b"ftyp" or head[8:12] not in _PICTURE_BRANDS:
        return False
    end = min(int.from_bytes(head[:4]), len(head))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}
    return not brands.isdisjoint(_HEVC_BRANDS)


def _iso_media(head: bytes) -> bool:
    """ISO base media (MP4, M4A, QuickTime, 3GPP), but not the pictures that share the container."""
    return head[4:8] == b"ftyp" and head[8:12] not in _PICTURE_BRANDS


def _quicktime(head: bytes) -> bool:
    """QuickTime from before there was `ftyp`; "wide" and "free" are words too, but text holds no byte of zero."""
    return head[4:8] == b"mdat" or (head[:1] == b"\0" and head[4:8] in {b"moov", b"wide", b"free", b"skip", b"pnot"})


def _ebml(document_type: bytes) -> Test:
    """Fit EBML whose document type, one of its first elements, is the given one (RFC 8794)."""
    return lambda head: head.startswith(b"\x1a\x45\xdf\xa3") and document_type in head[4:64]


DOCUMENT_TYPES = (
    MediaType("application/pdf", "PDF", _starts(b"%PDF-")),
    MediaType("image/png", "PNG", _starts(b"\x89PNG\r\n\x1a\n")),
    MediaType("image/jpeg", "JPEG", _starts(b"\xff\xd8\xff")),
    MediaType("image/tiff", "TIFF", _starts(b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")),
    MediaType("image/webp", "WebP", _riff(b"WEBP")),
    MediaType("image/heic", "HEIC", is_heic),
)

VOICE_TYPES = (
    MediaType("audio/wav", "WAV", _riff(b"WAVE")),
    MediaType("audio/flac", "FLAC", _starts(b"fLaC")),
    MediaType("audio/ogg", "Ogg", _starts(b"OggS")),
    MediaType("audio/mp4", "M4A, MP4 or 3GP", _iso_media),
    MediaType("audio/webm", "WebM", _ebml(b"webm")),
    MediaType("audio/aiff", "AIFF", _aiff),
    MediaType("audio/amr", "AMR", _starts(b"#!AMR")),
    MediaType("audio/aac", "AAC", _adts_frame),
    MediaType("audio/mpeg", "MP3", _mpeg_audio),
    MediaType("video/matroska", "Matroska", _ebml(b"matroska")),
    MediaType("video/quicktime", "QuickTime", _quicktime),
    MediaType("video/x-msvideo", "AVI", _riff(b"AVI ")),
    MediaType("audio/x-ms-wma", "WMA or WMV", _starts(_ASF_HEADER)),
    MediaType("audio/ac3", "AC-3", _ac3),
    MediaType("audio/basic", "AU", _starts(b".snd")),
    MediaType("audio/x-caf", "CAF", _starts(b"caff\x00\x01")),
    MediaType("audio/x-w64", "Wave64", _starts(b"riff\x2e\x91\xcf\x11")),
)
"""What FFmpeg reads as a recording, films with sound included: its closed list of formats in the engine is the same."""


def recognise(head: bytes, allowed: tuple[MediaType, ...]) -> str | None:
    """Return the media type of a file that begins with `head`, or None when it is none of the allowed ones."""
    return next((one.media_type for one in allowed if one.fits(head)), None)
