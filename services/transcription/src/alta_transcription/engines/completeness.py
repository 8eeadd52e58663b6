"""Whether all of a recording is there, by what the file says of its own length.

Players play what there is of a recording that was cut off, and say nothing. What a file says is believed where it was
written down when the recording was done; frames in a row (MP2, AAC, AC-3, AMR) say nothing.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_LEAST_SECONDS = 1.0
_LEAST_SHARE = 0.02

# FFmpeg reads the length from these files' headers; from others it guesses, or counts what there is. Of WAV it takes
# the number of samples that writers often get wrong: its chunks are looked at below.
_TELL_LENGTH = {"flac", "au", "mov,mp4,m4a,3gp,3g2,mj2"}
# These have one length for all of their streams: a film may go on after its sound.
_TELL_LENGTH_OF_ALL = "matroska,webm"
COUNTS_FROM_ZERO = _TELL_LENGTH_OF_ALL
"""Whose length is the time at which it ends, whenever it begins."""
# Without one of these marks in its first frame, an MP3's length is guessed from its size.
_MP3_MARKS = (b"Xing", b"Info", b"VBRI")
_MP3_MARK_WITHIN = 2048
_TAG_HEAD = 10

# From here on a size means "not known yet": programs that write into a pipe use several numbers at the upper end.
_UNKNOWN_SIZE = 0x7F000000
_MOST_CHUNKS = 1000
_PAGE_HEAD = 27
_LONGEST_PAGE = _PAGE_HEAD + 255 + 255 * 255


@dataclass(frozen=True)
class _Chunks:
    """How a family of files says what comes next: from the byte `first` on, each with a name and a size."""

    first: int
    header: struct.Struct
    size_counts_header: bool = False
    aligned_to: int = 2
    unknown_size: int = _UNKNOWN_SIZE


_FAMILIES = {
    b"RIFF": _Chunks(12, struct.Struct("<4sI")),
    b"FORM": _Chunks(12, struct.Struct(">4sI")),
    b"caff": _Chunks(8, struct.Struct(">4sq"), aligned_to=1, unknown_size=1 << 62),
    b"riff": _Chunks(40, struct.Struct("<4s12xq"), size_counts_header=True, aligned_to=8, unknown_size=1 << 62),
}
_SOUND_CHUNKS = (b"data", b"SSND")


def is_incomplete(path: Path, container: str, claimed: float | None, seconds: float, *, alone: bool) -> bool:
    """Say whether sound is missing at the end of a file of which `seconds` could be decoded.

    `container` is FFmpeg's name, `claimed` the length in seconds that it found; `alone`: nothing but sound is in there.
    """
    with path.open("rb") as file:
        length = claimed if claimed and _is_told(file, container, alone=alone) else seconds
        length = max(length, seconds / (1 - _missing_share(file)))
        return length - seconds > max(_LEAST_SECONDS, _LEAST_SHARE * length) or _ends_within_page(file)


def _is_told(file: BinaryIO, container: str, *, alone: bool) -> bool:
    if container == "mp3":
        return _has_mp3_mark(file)
    return container in _TELL_LENGTH or (alone and container == _TELL_LENGTH_OF_ALL)


def _has_mp3_mark(file: BinaryIO) -> bool:
    head = _read(file, 0, _TAG_HEAD)
    # ID3v2.4, 3.1: a size of four times seven bits.
    tag = sum(byte << 7 * place for place, byte in enumerate(reversed(head[6:])))
    begin = _TAG_HEAD + tag if head.startswith(b"ID3") else 0
    frame = _read(file, begin, _MP3_MARK_WITHIN)
    return any(mark in frame for mark in _MP3_MARKS)


def _missing_share(file: BinaryIO) -> float:
    """Return how much of the chunk with the sound is not there, 0 to 1 (exclusive), where the file has chunks."""
    size = file.seek(0, 2)
    chunks = _FAMILIES.get(_read(file, 0, 4))
    if chunks is None:
        return 0.0
    place = chunks.first
    for _ in range(_MOST_CHUNKS):
        head = _read(file, place, chunks.header.size + 4)
        if len(head) < chunks.header.size + 4:
            break
        name, length = chunks.header.unpack_from(head)
        begin = place + chunks.header.size
        length -= chunks.header.size if chunks.size_counts_header else 0
        if name in _SOUND_CHUNKS or (name == b"LIST" and head.endswith(b"movi")):
            is_known = 0 < length < chunks.unknown_size
            return max(0.0, begin + length - size) / length if is_known else 0.0
        if length < 0:
            break
        place = begin + length + -length % chunks.aligned_to
    return 0.0


def _ends_within_page(file: BinaryIO) -> bool:
    """Say whether the last page of an Ogg (RFC 3533, 6) says that it is longer than what is left of the file."""
    if _read(file, 0, 4) != b"OggS":
        return False
    size = file.seek(0, 2)
    tail = _read(file, max(0, size - _LONGEST_PAGE), _LONGEST_PAGE)
    page = tail[tail.rfind(b"OggS") :]
    if not page.startswith(b"OggS"):
        return False
    if len(page) < _PAGE_HEAD:
        return True
    segments = page[_PAGE_HEAD - 1]
    return len(page) < _PAGE_HEAD + segments + sum(page[_PAGE_HEAD : _PAGE_HEAD + segments])


def _read(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)
