"""Markdown, read by markdown-it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from alta_common.contracts.results import OcrResult
from alta_projects.formats.markdown import markdown

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def kinds(result: OcrResult) -> list[str]:
    return [
        token.tag or token.type for token in READER.parse(markdown(result)) if token.level == 0 and token.nesting >= 0
    ]


def read(result: OcrResult) -> list[str]:
    """The text of each block; fails on any markup within."""
    texts = []
    for token in READER.parse(markdown(result)):
        if token.type == "inline":
            assert {child.type for child in token.children} <= {"text", "softbreak"}, token.children
            texts.append("".join("\n" if child.type == "softbreak" else child.content for child in token.children))
    return texts


def body(make: Any, count: int = 6) -> list[Any]:
    return [make.line(f"an ordinary line {i}", 0.30 + 0.03 * i) for i in range(count)]


def test_paragraphs_are_what_stands_together(make: Any) -> None:
    result = make.document(make.page(make.line("one", 0.1), make.line("two", 0.13), make.line("three", 0.3)))

    assert kinds(result) == ["p", "p"]
    assert read(result) == ["one\ntwo", "three"]


def test_a_heading_is_much_larger_than_the_rest(make: Any) -> None:
    title = make.line("Report #1 of the Parish", 0.02, height=0.06)
    section = make.line("The harvest", 0.15, height=0.033)

    result = make.document(make.page(title, section, *body(make)))

    assert kinds(result) == ["h1", "h2", "p"]
    assert read(result)[:2] == ["Report #1 of the Parish", "The harvest"]


@pytest.mark.parametrize("text", ["It ends as sentences do.", "word " * 25, "1880 - 1881", "and so on,"])
def test_large_print_is_no_heading_when_it_may_be_something_else(make: Any, text: str) -> None:
    large = make.line(text.strip(), 0.02, height=0.06)

    assert "h1" not in kinds(make.document(make.page(large, *body(make))))


def test_without_a_usual_line_there_is_no_heading(make: Any) -> None:
    assert kinds(make.document(make.page(make.line("Title", 0.1, height=0.1), *body(make, 2)))) == ["p", "p"]


def test_what_stands_on_every_page_is_no_heading(make: Any) -> None:
    pages = [make.page(make.line(f"Parish Report {i}", 0.02, height=0.06), *body(make), number=i) for i in (1, 2)]

    assert "h1" not in kinds(make.document(*pages))


def test_small_print_on_a_page_makes_no_headings_of_its_usual_lines(make: Any) -> None:
    labels = [make.line(f"label {i}", 0.5 + 0.02 * i, height=0.008) for i in range(8)]

    result = make.document(make.page(*body(make, 30)), make.page(*body(make, 2), *labels, number=2))

    assert not {"h1", "h2"} & set(kinds(result))


def test_pages_are_divided(make: Any) -> None:
    pages = [make.page(make.line(f"page {i}", 0.1), number=i) for i in (1, 2)]

    result = make.document(*pages, make.page(number=3))

    assert kinds(result) == ["p", "hr", "html_block", "p", "hr", "html_block"]
    assert "<!-- page 2 -->" in markdown(result)


@pytest.mark.parametrize(
    "text",
    [
        *("# no heading", "- no item", "+ no item", "* no item", "1. no item", "12) no item", "> no quote", "---"),
        *("===", "***", "```", "~~~", "a | b", "<b>bold</b>", "&amp;", "[a](b)", "![a](b)", "__init__", "~~no~~"),
        *("<!-- comment -->", "back\\slash", "<https://example.org>", "[x]: /y", "a\\", "#", "1.", "-", "$x$"),
        *(":--", ":-:", "--:"),
    ],
)
def test_text_is_never_markup(make: Any, text: str) -> None:
    result = make.document(make.page(make.line("before", 0.1), make.line(text, 0.13), make.line("after", 0.16)))

    assert kinds(result) == ["p"]
    assert read(result) == [f"before\n{text}\nafter"]


@settings(max_examples=150)
@given(st.lists(st.text(alphabet="ab1 .-+=#*_`~<>&![]()|\\\"':;/\x00\t\u00a0é中", min_size=1), min_size=1, max_size=4))
def test_any_text_comes_back(make: Any, texts: list[str]) -> None:
    lines = [make.line(text, 0.1 + 0.03 * i, left=0.1) for i, text in enumerate(texts)]
    said = [" ".join(text.replace("\x00", "").split()) for text in texts]

    result = make.document(make.page(*lines))

    assert "\n".join(read(result)).split("\n") == ([one for one in said if one] or [""])
