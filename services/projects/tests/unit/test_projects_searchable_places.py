"""Searchable PDFs, read by pdfium and pypdf: every word that was read is found, whole and in its place."""

import ctypes
from collections import Counter
from pathlib import Path
from typing import Any

import pypdf
import pypdfium2
import pypdfium2.raw as pdfium
import pytest
from pikepdf import Array

from alta_common.contracts.results import Box, Line, Word

Sheet = dict[str, Any]


def place_of(path: Path, word: str, rotation: int = 0) -> Box:
    """Where pdfium finds a word: shares of the page as a viewer shows it, turned clockwise by `rotation`."""
    with pypdfium2.PdfDocument(path) as pdf:
        page = pdf[0]
        text_page = page.get_textpage()
        start = str(text_page.get_text_range()).index(word)
        boxes = [text_page.get_charbox(i) for i in range(start, start + len(word))]
        corners = [shown(page, x, y) for left, bottom, right, top in boxes for x, y in ((left, bottom), (right, top))]
    turn = {
        0: lambda s, t: (s, t),
        90: lambda s, t: (1 - t, s),
        180: lambda s, t: (1 - s, 1 - t),
        270: lambda s, t: (t, 1 - s),
    }[rotation]
    xs, ys = zip(*(turn(s, t) for s, t in corners), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def shown(page: Any, x: float, y: float) -> tuple[float, float]:
    grid, across, down = 100_000, ctypes.c_int(), ctypes.c_int()
    pdfium.FPDF_PageToDevice(page, 0, 0, grid, grid, 0, x, y, across, down)
    return across.value / grid, down.value / grid


LINES = ("The quick brown fox", "jumps over a lazy dog", "I")


@pytest.fixture
def lines(make: Any) -> list[Line]:
    return [make.line(text, 0.2 + 0.1 * i, height=0.04) for i, text in enumerate(LINES)]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize(
    "sheet",
    [
        {},
        {"Rotate": 90},
        {"Rotate": 180},
        {"Rotate": 270},
        {"Rotate": -90},
        {"MediaBox": [0, 0, 300, 400], "CropBox": [50, 30, 250, 390]},
        {"MediaBox": [-100, -50, 500, 350], "CropBox": [-40, 0, 900, 300], "Rotate": 90},
        {"MediaBox": [400, 300, 0, 0], "UserUnit": 4, "Rotate": 270},
    ],
    ids=str,
)
def test_each_word_is_found_in_its_place(make: Any, scans: Any, lines: list[Line], sheet: Sheet, rotation: int) -> None:
    original = scans.original({name: _pdf_value(value) for name, value in sheet.items()})

    made = scans.searchable(original, make.page(*lines, rotation=rotation, unit="pt"))

    for word in [word for line in lines for word in line.words if len(word.text) > 2]:
        assert place_of(made, word.text, rotation) == pytest.approx(word.box, abs=0.003), word.text
    assert scans.words(made) == Counter(" ".join(LINES).split())
    assert pypdf.PdfReader(made).pages[0].extract_text().split() == " ".join(LINES).split()
    assert scans.rendered(made) == scans.rendered(original)


def _pdf_value(value: Any) -> Any:
    return Array(value) if isinstance(value, list) else value


@pytest.mark.parametrize(
    "text",
    [
        "我是中国人 也 是",
        "שלום לכולם 123 בוקר טוב",
        "مرحبا بالعالم",
        "नमस्ते दुनिया",
        "e\u0301te\u0301 na\u0308ive \U0001d4d0\U0001f600 ok",
    ],
    ids=["han", "hebrew", "arabic", "devanagari", "marks and astral"],
)
def test_all_of_unicode_comes_out(make: Any, scans: Any, text: str) -> None:
    line = make.line(text, 0.3, height=0.04)
    if _is_leftward(text):
        line = line.model_copy(update={"words": [_mirrored(word) for word in line.words]})

    made = scans.searchable(scans.original(), make.page(line))

    assert scans.words(made) == Counter(text.split())
    assert " ".join(scans.text(made).split()) == text


def _is_leftward(text: str) -> bool:
    return any("\u0590" <= character < "\u0700" for character in text)


def _mirrored(word: Word) -> Word:
    x0, y0, x1, y1 = word.box
    return word.model_copy(update={"box": (1 - x1, y0, 1 - x0, y1)})


def test_words_that_stand_together_stay_together(make: Any, scans: Any) -> None:
    first, second, last = make.line("中 文 ok", 0.1, height=0.03).words
    first = first.model_copy(update={"box": (0.1, 0.1, 0.12, 0.13)})
    words = [first, second, last]

    made = scans.searchable(scans.original(), make.page(make.line("中文 ok", 0.1, words=words)))

    assert scans.text(made).split() == ["中文", "ok"]


def test_words_whose_boxes_touch_are_still_two(make: Any, scans: Any) -> None:
    boxes = [(0.1, 0.1, 0.2, 0.14), (0.2, 0.1, 0.3, 0.14), (0.28, 0.1, 0.4, 0.14)]
    words = [
        Word(text=text, confidence=None, box=box) for text, box in zip(["one", "two", "three"], boxes, strict=True)
    ]
    lines = [
        Line(text="one two three", confidence=None, box=(0.1, 0.1, 0.4, 0.14), words=words),
        make.line("four", 0.15, height=0.04),
    ]

    made = scans.searchable(scans.original(), make.page(*lines))

    assert scans.text(made).split() == ["one", "two", "three", "four"]
    assert pypdf.PdfReader(made).pages[0].extract_text().split() == ["one", "two", "three", "four"]


def test_a_line_that_lies_askew_is_followed(make: Any, scans: Any) -> None:
    texts = ["these", "words", "climb", "up", "a", "page"]
    words = [
        Word(text=text, confidence=None, box=(0.1 + 0.12 * i, 0.5 - 0.02 * i, 0.2 + 0.12 * i, 0.54 - 0.02 * i))
        for i, text in enumerate(texts)
    ]
    line = Line(text=" ".join(texts), confidence=None, box=(0.1, 0.4, 0.8, 0.54), words=words)

    made = scans.searchable(scans.original(), make.page(line))

    assert scans.text(made).split() == texts
    for word in words[:3]:
        assert place_of(made, word.text) == pytest.approx(word.box, abs=0.012)


@pytest.mark.parametrize("direction", ["down", "up"])
def test_what_is_written_along_the_side_is_found_there(make: Any, scans: Any, direction: str) -> None:
    tops = {"first": 0.1, "second": 0.3, "third": 0.5}
    if direction == "up":
        tops = {word: 0.8 - top for word, top in tops.items()}
    words = [Word(text=text, confidence=None, box=(0.05, top, 0.1, top + 0.15)) for text, top in tops.items()]
    line = Line(text=" ".join(tops), confidence=None, box=(0.05, 0.1, 0.1, 0.85), words=words)

    made = scans.searchable(scans.original(), make.page(line))

    assert scans.words(made) == Counter(list(tops))
    for word in words:
        assert place_of(made, word.text) == pytest.approx(word.box, abs=0.003)
