"""Document AI's answers as they come, with all that is optional in them left out, and what we make of them."""

from collections.abc import Sequence
from typing import Any

import pytest
from google.cloud import documentai_v1 as documentai

from alta_common.contracts.results import Page
from alta_ocr.engines.documentai_pages import ReadPages, pages_of

Layout = documentai.Document.Page.Layout
UP, RIGHT, DOWN, LEFT = (
    Layout.Orientation.PAGE_UP,
    Layout.Orientation.PAGE_RIGHT,
    Layout.Orientation.PAGE_DOWN,
    Layout.Orientation.PAGE_LEFT,
)
BOX = ((0.1, 0.2), (0.3, 0.2), (0.3, 0.4), (0.1, 0.4))


def a_layout(*spans: tuple[int, int], confidence: float = 0.9, corners: Any = BOX, **values: Any) -> dict[str, Any]:
    return {
        "text_anchor": {"text_segments": [{"start_index": start, "end_index": end} for start, end in spans]},
        "confidence": confidence,
        "bounding_poly": {"normalized_vertices": [{"x": x, "y": y} for x, y in corners]},
        **values,
    }


def a_page(lines: list[Any], tokens: Sequence[Any] = (), **values: Any) -> dict[str, Any]:
    return {
        "page_number": 1,
        "dimension": {"width": 600, "height": 800, "unit": "pixels"},
        "lines": [{"layout": layout} for layout in lines],
        "tokens": [{"layout": layout} for layout in tokens],
        **values,
    }


def read(text: str, *pages: dict[str, Any], first: int = 1, **values: Any) -> ReadPages:
    document = documentai.Document(text=text, pages=list(pages), **values)
    # Over the wire, as fields of zero are left out there.
    received = documentai.Document.deserialize(documentai.Document.serialize(document))
    return pages_of(documentai.Document.pb(received), first, 1.0)


def the_page(text: str, page: dict[str, Any]) -> Page:
    [reading] = read(text, page).pages
    return Page.model_validate_json(reading.content)


def test_a_text_begins_at_an_index_that_is_not_sent() -> None:
    page = the_page("Hello world\n", a_page([a_layout((0, 12))], [a_layout((0, 6)), a_layout((6, 12))]))

    [line] = page.lines
    assert line.text == "Hello world"
    assert [word.text for word in line.words] == ["Hello", "world"]


def test_an_anchor_may_have_several_segments() -> None:
    page = the_page("one two three\n", a_page([a_layout((0, 4), (8, 14))], [a_layout((0, 4)), a_layout((8, 14))]))

    [line] = page.lines
    assert line.text == "one three"
    assert [word.text for word in line.words] == ["one", "three"]


def test_words_and_their_punctuation_are_one_word() -> None:
    tokens = [
        a_layout((0, 1), corners=((0.1, 0.1), (0.11, 0.2))),
        a_layout((1, 4), confidence=0.6, corners=((0.11, 0.1), (0.2, 0.2))),
        a_layout((4, 6), confidence=0.0, corners=((0.2, 0.1), (0.21, 0.2))),
        a_layout((6, 10)),
    ]

    page = the_page("(one) two\n", a_page([a_layout((0, 10))], tokens))

    [line] = page.lines
    first, second = line.words
    assert (first.text, second.text) == ("(one)", "two")
    assert first.box == pytest.approx((0.1, 0.1, 0.21, 0.2))
    # By length, over what has a confidence.
    assert first.confidence == pytest.approx((0.9 + 3 * 0.6) / 4, abs=1e-4)


def test_words_belong_to_the_line_that_they_stand_in_whatever_the_order_of_lines() -> None:
    text = "below\nabove\n"

    page = the_page(text, a_page([a_layout((6, 12)), a_layout((0, 6))], [a_layout((0, 6)), a_layout((6, 12))]))

    assert [line.text for line in page.lines] == ["above", "below"]
    assert [[word.text for word in line.words] for line in page.lines] == [["above"], ["below"]]


def test_a_line_without_words_is_one_word() -> None:
    [line] = the_page("no tokens here\n", a_page([a_layout((0, 15))])).lines

    [word] = line.words
    assert (word.text, word.confidence, word.box) == (line.text, line.confidence, line.box)


def test_a_confidence_of_zero_was_not_given() -> None:
    page = the_page("hm\n", a_page([a_layout((0, 3), confidence=0)], [a_layout((0, 3), confidence=0)]))

    assert (page.confidence, page.lines[0].confidence, page.lines[0].words[0].confidence) == (None, None, None)


def test_corners_may_be_pixels() -> None:
    layout = a_layout((0, 3), bounding_poly={"vertices": [{"x": 60, "y": 80}, {"x": 300, "y": 160}]})

    assert the_page("hm\n", a_page([layout])).lines[0].box == pytest.approx((0.1, 0.1, 0.5, 0.2))


def test_corners_beyond_the_page_are_brought_back() -> None:
    layout = a_layout((0, 3), corners=((-0.1, 0.5), (1.2, 0.6)))

    assert the_page("hm\n", a_page([layout])).lines[0].box == (0.0, 0.5, 1.0, 0.6)


@pytest.mark.parametrize(
    ("orientation", "rotation", "size", "box"),
    [
        (UP, 0, (600, 800), (0.1, 0.2, 0.3, 0.4)),
        # The upper side of the text is on the page's right: a quarter turn to the left brings it up.
        (RIGHT, 270, (800, 600), (0.2, 0.7, 0.4, 0.9)),
        (DOWN, 180, (600, 800), (0.7, 0.6, 0.9, 0.8)),
        (LEFT, 90, (800, 600), (0.6, 0.1, 0.8, 0.3)),
    ],
)
@pytest.mark.parametrize("told_by", ["page", "lines"])
def test_boxes_are_those_of_the_upright_page(
    orientation: Any, rotation: int, size: tuple[int, int], box: tuple[float, ...], told_by: str
) -> None:
    of_line = orientation if told_by == "lines" else UP
    page = a_page(
        [a_layout((0, 3), orientation=of_line)], layout={"orientation": orientation if told_by == "page" else 0}
    )

    read_page = the_page("hm\n", page)

    assert (read_page.rotation, read_page.width, read_page.height) == (rotation, *size)
    assert read_page.lines[0].box == pytest.approx(box)


def test_pages_are_numbered_by_us() -> None:
    page = a_page([a_layout((0, 3))])

    read_pages = read("hm\n", page, page, first=16).pages

    assert [reading.number for reading in read_pages] == [16, 17]


def test_the_languages_count_by_how_much_is_written_in_them() -> None:
    english = a_page([a_layout((0, 12))], detected_languages=[{"language_code": "en", "confidence": 0.9}])
    german = a_page([a_layout((12, 16))], detected_languages=[{"language_code": "de"}, {"language_code": "und"}])

    read_pages = read("Hello world\nTag\n", english, german)

    assert [code for code, _ in read_pages.languages.most_common()] == ["en", "de"]


@pytest.mark.parametrize("start", [0, 100])
def test_a_shard_may_count_from_its_own_beginning_or_from_the_documents(start: int) -> None:
    page = a_page([a_layout((start, start + 6))], [a_layout((start, start + 6))])

    [reading] = read("shard\n", page, shard_info={"shard_index": 1, "shard_count": 2, "text_offset": 100}).pages

    assert reading.text == "shard"


def test_characters_beyond_the_basic_plane_count_as_one() -> None:
    page = the_page("😀 smile\n", a_page([a_layout((0, 8))], [a_layout((0, 2)), a_layout((2, 8))]))

    assert [word.text for word in page.lines[0].words] == ["😀", "smile"]


def test_a_page_of_nothing_has_no_lines() -> None:
    page = the_page("", {"page_number": 1})

    assert (page.lines, page.confidence, page.width, page.height) == ([], None, 1, 1)


def test_what_was_read_comes_back_as_it_was_kept() -> None:
    page = a_page([a_layout((0, 6))], detected_languages=[{"language_code": "en", "confidence": 1}])
    before = read("hello\n", page, page)

    after = ReadPages.loaded(before.dumped())

    assert after == before


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"pages": [{"page": {}, "seconds": 1}], "languages": {}}'])
def test_what_was_not_kept_by_us_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        ReadPages.loaded(content)
