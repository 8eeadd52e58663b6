"""What a file seems to be that is none of those we take."""

import filetype

from alta_common.contracts.media_types import DOCUMENT_TYPES, VOICE_TYPES, recognise

_UTF8_TAIL = 3


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
