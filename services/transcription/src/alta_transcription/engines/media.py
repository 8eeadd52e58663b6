"""Whether a file is a recording that we read, decided from its first bytes alone: names and types are hints."""

from pathlib import Path

from alta_common.contracts.media_types import HEAD_BYTES, VOICE_TYPES, recognise
from alta_common.engines.port import InputError

DEMUXERS = "wav,w64,mp3,flac,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aiff,amr,aac,asf,au,caf,ac3,eac3,avi"
"""What FFmpeg may take a file for. Playlists and session descriptions, which make it read other files or listen on the
network, are not among them."""


def require_recording(path: Path) -> None:
    """Raise `InputError` for an empty file and for one that is no recording of a kind that we read."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise InputError("corrupt_file", "The file is empty.")
    if recognise(head, VOICE_TYPES) is None:
        raise InputError("unsupported_media_type", "This is not a sound or video file that we can read.")
