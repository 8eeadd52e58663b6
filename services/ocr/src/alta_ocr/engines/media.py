"""What a file is, decided from its first bytes alone: names and declared types are only hints.

The magic must stand at offset 0: readers that look further take files that are two things at once.
"""

from pathlib import Path

from alta_common.contracts.media_types import DOCUMENT_TYPES, HEAD_BYTES, MediaType, recognise
from alta_common.engines.port import InputError

PDF = "application/pdf"

# What projects does not take in, but is read where it comes from elsewhere.
_MORE_TYPES = (
    MediaType("image/gif", "GIF", lambda head: head.startswith((b"GIF87a", b"GIF89a"))),
    MediaType("image/bmp", "BMP", lambda head: head.startswith(b"BM")),
)


def media_type_of(path: Path) -> str:
    """Return the media type of a file that we read. Raises `InputError` for an empty file and for any other kind."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise InputError("corrupt_file", "The file is empty.")
    media_type = recognise(head, DOCUMENT_TYPES + _MORE_TYPES)
    if media_type is None:
        raise InputError("unsupported_media_type", "This is not a PDF or an image that we can read.")
    return media_type
