"""What text from an engine needs before it goes into any format."""

import re
import unicodedata
from collections.abc import Sequence

# What XML 1.0 (section 2.2) has no way to say, not even escaped; a captions file does not want it either.
_UNSPEAKABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def one_line(text: str) -> str:
    """Return `text` on one line, without control characters, its white space collapsed."""
    return " ".join(_UNSPEAKABLE.sub("", text).split())


def spaces_before(text: str, pieces: Sequence[str]) -> list[bool]:
    """Say for each of `pieces`, in their order, whether white space stands before it in `text`.

    Chinese and Japanese words stand side by side, so a joint alone does not mean a space. A piece that is not found
    where it should be is taken to be apart.
    """
    spaced = []
    position = 0
    for piece in pieces:
        found = text.find(piece, position)
        between = text[position:found]
        if found < 0 or between.strip():
            spaced.append(True)
        else:
            spaced.append(bool(between))
        position = max(found + len(piece), position) if found >= 0 else position
    return spaced


def columns(text: str) -> int:
    """Return how wide `text` is shown: East Asian wide characters take two columns, combining ones none (UAX 11)."""
    if text.isascii():
        return len(text)
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    # Of the vowels of Thai or Hindi that stand over or under a letter, many are in no class of combining marks.
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
