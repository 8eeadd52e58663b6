"""hOCR, ALTO and what they are made of, read by readers that are not ours."""

import io
from pathlib import Path
from typing import Any

import pytest
from alto_tools import alto_tools
from lxml import etree
from pydantic import TypeAdapter

from alta_common.contracts.results import OcrResult
from alta_projects.api.page_images import Width
from alta_projects.formats.alto import alto
from alta_projects.formats.hocr import hocr
from alta_projects.formats.layout import blocks_of
from alta_projects.formats.strings import spaces_before

HOSTILE = "a<b>&\"c'\x00\x0b\ud800]]>\uffff"
ALTO = {"a": "http://www.loc.gov/standards/alto/ns-v4#"}
SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).parent / "alto_subset.xsd"))


def hocr_of(result: OcrResult) -> Any:
    """The XHTML tree; raises when it isn't well-formed."""
    return etree.fromstring(hocr(result).encode(), etree.XMLParser(resolve_entities=False, no_network=True))


def by_class(tree: Any, name: str) -> list[Any]:
    return tree.xpath(f"//*[@class='{name}']")


def alto_of(result: OcrResult) -> Any:
    """The tree, valid by the schema."""
    tree = etree.fromstring(alto(result).encode())
    SCHEMA.assertValid(tree)
    return tree


def geometry(element: Any) -> tuple[float, ...]:
    return tuple(float(element.get(name)) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))


@pytest.fixture
def result(make: Any) -> OcrResult:
    """Two pages of an image: two paragraphs, then nothing."""
    lines = [make.line("Dear Sir or", 0.10), make.line("Madam", 0.13), make.line("Yours", 0.30, confidence=None)]
    return make.document(make.page(*lines), make.page(number=2, confidence=None))


def test_hocr_says_what_stands_where(result: OcrResult) -> None:
    tree = hocr_of(result)

    pages = by_class(tree, "ocr_page")
    words = by_class(tree, "ocrx_word")
    image = f"/v1/documents/{result.document_id}/pages"
    assert [page.get("title") for page in pages] == [
        f'image "{image}/{number}/image?width=1000"; bbox 0 0 1000 2000; ppageno {number - 1}' for number in (1, 2)
    ]
    assert [len(by_class(tree, f"ocr_{name}")) for name in ("carea", "par", "line")] == [2, 2, 3]
    assert ["".join(line.itertext()) for line in by_class(tree, "ocr_line")] == ["Dear Sir or", "Madam", "Yours"]
    assert words[0].get("title") == "bbox 100 200 140 240; x_wconf 90"
    assert words[-1].get("title") == "bbox 100 600 150 640"
    assert len(set(tree.xpath("//@id"))) == len(tree.xpath("//@id"))
    assert tree.xpath("//*[@name='ocr-system']/@content") == ["rapidocr 3.10"]
    assert tree.xpath("//*[@name='ocr-langs']/@content") == ["en"]


def test_hocr_is_read_as_html_too(result: OcrResult) -> None:
    body = etree.fromstring(hocr(result).encode(), etree.HTMLParser()).find("body")

    assert " ".join("".join(body.itertext()).split()) == "Dear Sir or Madam Yours"


def test_alto_says_what_stands_where(result: OcrResult) -> None:
    tree = alto_of(result)

    strings = tree.xpath("//a:String", namespaces=ALTO)
    spaces = tree.xpath("//a:SP", namespaces=ALTO)
    pages = tree.xpath("//a:Page", namespaces=ALTO)
    assert tree.xpath("string(//a:MeasurementUnit)", namespaces=ALTO) == "pixel"
    assert [(page.get("WIDTH"), page.get("HEIGHT"), page.get("PC")) for page in pages] == [
        ("1000", "2000", "0.9"),
        ("1000", "2000", None),
    ]
    assert [string.get("CONTENT") for string in strings] == ["Dear", "Sir", "or", "Madam", "Yours"]
    assert [string.get("WC") for string in strings] == ["0.9", "0.9", "0.9", "0.9", None]
    assert geometry(strings[1]) == (150, 200, 30, 40)
    assert [geometry(space) for space in spaces] == [(140, 200, 10, 40), (180, 200, 10, 40)]
    assert len(tree.xpath("//a:TextBlock", namespaces=ALTO)) == 2


def test_another_tool_reads_the_alto(result: OcrResult, capsys: pytest.CaptureFixture[str]) -> None:
    file = io.StringIO(alto(result).split("\n", 1)[1])
    file.name = "page.xml"
    _, tree, namespace = alto_tools.alto_parse(file)

    alto_tools.alto_text(tree, namespace)
    read = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]

    assert read == ["Dear Sir or", "Madam", "Yours"]
    assert alto_tools.alto_confidence(file, tree, namespace) == 90.0


def test_points_become_pixels_and_tenths_of_a_millimetre(make: Any) -> None:
    result = make.document(make.page(make.line("Word", 0.5, left=0.5), width=595.276, height=841.89, unit="pt"))

    page = alto_of(result).xpath("//a:Page", namespaces=ALTO)[0]
    string = alto_of(result).xpath("//a:String", namespaces=ALTO)[0]

    assert alto_of(result).xpath("string(//a:MeasurementUnit)", namespaces=ALTO) == "mm10"
    assert (page.get("WIDTH"), page.get("HEIGHT")) == ("2100", "2970")
    assert geometry(string)[:2] == (1050, 1485)
    title = by_class(hocr_of(result), "ocr_page")[0].get("title")
    assert title.endswith('/pages/1/image?width=2480"; bbox 0 0 2480 3508; ppageno 0; scan_res 300 300')
    assert by_class(hocr_of(result), "ocrx_word")[0].get("title").startswith("bbox 1240 1754 ")


@pytest.mark.parametrize(
    ("size", "seen", "scale"),
    [
        ((1000, 16_000), "1000", ""),
        ((4032, 3024), "4000", f"; x_image_scale {4000 / 4032:.5f}"),
        ((1000, 20_000), "1000", "; x_image_scale 0.80000"),
        ((8, 8), "16", "; x_image_scale 2.00000"),
    ],
)
def test_hocr_says_how_much_smaller_a_page_is_seen(make: Any, size: tuple[int, int], seen: str, scale: str) -> None:
    [page] = by_class(hocr_of(make.document(make.page(width=size[0], height=size[1]))), "ocr_page")

    assert page.get("title").endswith(f'?width={seen}"; bbox 0 0 {size[0]} {size[1]}; ppageno 0{scale}')
    # The route of page images takes it.
    assert TypeAdapter(Width).validate_python(seen) == int(seen)


def test_pages_of_two_units_share_pixels(make: Any) -> None:
    result = make.document(make.page(), make.page(number=2, width=72, height=144, unit="pt"))

    tree = alto_of(result)

    assert tree.xpath("string(//a:MeasurementUnit)", namespaces=ALTO) == "pixel"
    assert tree.xpath("//a:Page/@WIDTH", namespaces=ALTO) == ["1000", "300"]


def test_what_xml_cannot_say_is_left_out_and_the_rest_is_escaped(make: Any) -> None:
    line = make.line(HOSTILE, 0.1)
    result = make.document(make.page(line, make.line("\x00 \x01", 0.2)), language='"><script>')

    strings = alto_of(result).xpath("//a:String/@CONTENT", namespaces=ALTO)
    words = ["".join(word.itertext()) for word in by_class(hocr_of(result), "ocrx_word")]

    assert strings == words == ["a<b>&\"c']]>"]
    assert alto_of(result).xpath("//a:Page/@LANG", namespaces=ALTO) == []


def test_words_without_spaces_stay_together(make: Any) -> None:
    words = make.line("中 文 ok", 0.1).words
    result = make.document(make.page(make.line("中文 ok", 0.1, words=words)))

    assert "".join(by_class(hocr_of(result), "ocr_line")[0].itertext()) == "中文 ok"
    line = alto_of(result).xpath("//a:TextLine", namespaces=ALTO)[0]
    assert [etree.QName(part).localname for part in line] == ["String", "String", "SP", "String"]


def test_a_line_without_words_is_one_string(make: Any) -> None:
    result = make.document(make.page(make.line("No word boxes", 0.1, words=[])))

    assert alto_of(result).xpath("//a:String/@CONTENT", namespaces=ALTO) == ["No word boxes"]
    assert "".join(by_class(hocr_of(result), "ocrx_word")[0].itertext()) == "No word boxes"


def test_leftward_writing_and_reversed_boxes_have_no_negative_lengths(make: Any) -> None:
    right, left = make.line("b", 0.1, left=0.5).words[0], make.line("a", 0.1, left=0.2).words[0]
    line = make.line("b a", 0.1, words=[right, left], box=(0.6, 0.1, 0.2, 0.12))

    tree = alto_of(make.document(make.page(line)))

    assert geometry(tree.xpath("//a:SP", namespaces=ALTO)[0]) == (210, 200, 290, 40)
    assert geometry(tree.xpath("//a:TextLine", namespaces=ALTO)[0]) == (200, 200, 400, 40)


def test_blocks_end_at_gaps_columns_and_other_sizes(make: Any) -> None:
    page = make.page(
        make.line("Heading", 0.02, height=0.04),
        *(make.line(f"left {i}", 0.10 + 0.03 * i) for i in range(3)),
        *(make.line(f"after a gap {i}", 0.25 + 0.03 * i) for i in range(2)),
        *(make.line(f"right {i}", 0.10 + 0.03 * i, left=0.6) for i in range(2)),
        make.line("beside", 0.13, left=0.9),
    )

    assert [len(block.lines) for block in blocks_of(page)] == [1, 3, 2, 2, 1]


@pytest.mark.parametrize(
    ("text", "pieces", "apart"),
    [
        ("one two", ["one", "two"], [False, True]),
        ("中文", ["中", "文"], [False, False]),
        ("a b", ["a", "x", "b"], [False, True, True]),
        ("a , b", ["a", "b"], [False, True]),
        ("", ["a"], [True]),
    ],
)
def test_spaces_are_those_of_the_text(text: str, pieces: list[str], apart: list[bool]) -> None:
    assert spaces_before(text, pieces) == apart
