"""Whether a file is a recording that we read, decided from its first bytes alone: names and types are hints."""

from pathlib import Path

from alta_common.engines.port import InputError

DEMUXERS = "wav,w64,mp3,flac,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aiff,amr,aac,asf,au,caf,ac3,avi"
"""What FFmpeg may take a file for. Playlists and session descriptions, which make it read other files or listen on the
network, are not among them."""

_MAGIC = (
    b"fLaC",
    b"OggS",
    b"ID3",
    b"\x1a\x45\xdf\xa3",  # Matroska and WebM
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF: WMA, WMV
    b"#!AMR",
    b".snd",
    b"caff",
    b"\x0b\x77",  # AC-3
    b"riff\x2e\x91\xcf\x11",  # Wave64
)
_MAGIC_AT = ((b"RIFF", 8, b"WAVE"), (b"RIFF", 8, b"AVI "), (b"RF64", 8, b"WAVE"), (b"FORM", 8, b"AIF"))
_SYNC, _VERSION, _RESERVED_VERSION, _LAYER_ONE = 0xFFE0, 0x0018, 0x0008, 0x0006
_ISO_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def require_recording(path: Path) -> None:
    """Raise `InputError` for an empty file and for one that is no recording of a kind that we read."""
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise InputError("corrupt_file", "The file is empty.")
    if not _is_recording(head):
        raise InputError("unsupported_media_type", "This is not a sound or video file that we can read.")


def _is_recording(head: bytes) -> bool:
    if head.startswith(_MAGIC) or head[4:8] in _ISO_BOXES:
        return True
    if any(head.startswith(first) and head[at:].startswith(then) for first, at, then in _MAGIC_AT):
        return True
    return _is_mpeg_frame(int.from_bytes(head[:2], "big"))


def _is_mpeg_frame(start: int) -> bool:
    """Say whether two bytes may begin a frame of MPEG audio, layer II or III, or of AAC in ADTS."""
    # Nobody uses layer I, and text in UTF-16 begins like it.
    return start & _SYNC == _SYNC and start & _VERSION != _RESERVED_VERSION and start & _LAYER_ONE != _LAYER_ONE
