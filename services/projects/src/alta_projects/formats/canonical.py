"""Reading the pages of a canonical result one at a time: a book in objects takes hundreds of megabytes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from alta_common.contracts.results import Page

_SPACE = re.compile(r"[ \t\r\n]*")


def pages_of(result: Path) -> Iterator[Page]:
    """Yield the pages of the `OcrResult` in a file, in its order. Raises `ValueError` where it is none."""
    text = result.read_text(encoding="utf-8")
    decoder = json.JSONDecoder()
    at = _after(text, 0, "{")
    while True:
        name, at = decoder.raw_decode(text, _skipped(text, at))
        at = _after(text, at, ":")
        if name == "pages":
            break
        _, at = decoder.raw_decode(text, _skipped(text, at))
        at = _after(text, at, ",")
    at = _skipped(text, _after(text, at, "["))
    while text[at : at + 1] != "]":
        page, at = decoder.raw_decode(text, at)
        yield Page.model_validate(page)
        at = _skipped(text, at)
        if text[at : at + 1] != "]":
            at = _skipped(text, _after(text, at, ","))


def _skipped(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _after(text: str, at: int, mark: str) -> int:
    at = _skipped(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"the result has no {mark!r} at {at}")
    return at + 1
