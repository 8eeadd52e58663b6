"""What a file is, decided from its first bytes alone: names and declared types are only hints.

The magic must stand at offset 0: readers that look further take files that are two things at once.
"""

from pathlib import Path

from alta_common.engines.port import InputError

PDF = "application/pdf"

_MAGIC = (
    (b"%PDF-", PDF),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
)


def media_type_of(path: Path) -> str:
    """Return the media type of a file that we read. Raises `InputError` for an empty file and for any other kind."""
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise InputError("corrupt_file", "The file is empty.")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return media_type
    raise InputError("unsupported_media_type", "This is not a PDF or an image that we can read.")
