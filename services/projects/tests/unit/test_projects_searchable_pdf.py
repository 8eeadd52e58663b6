"""Searchable PDFs, read by pdfium and pypdf: what was read is found in its place, once, and all looks as before."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pypdf
import pypdfium2
import pypdfium2.raw as pdfium
import pytest
from pikepdf import Array, Dictionary, Name, Pdf

from alta_common.contracts.results import Box, Line, Page, Word
from alta_projects.formats.canonical import pages_of
from alta_projects.formats.errors import UnreadableOriginalError
from alta_projects.formats.searchable.job import make_searchable

Sheet = dict[str, Any]


def a_pdf(path: Path, *sheets: Sheet, content: bytes = b"") -> Path:
    """A PDF whose pages show a gray picture and `content`; `sheets` are their further attributes."""
    with Pdf.new() as pdf:
        font = pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
        for sheet in sheets or ({},):
            size = [float(side) for side in sheet.get("MediaBox", (0, 0, 300, 400))]
            picture = pikepdf.Stream(
                *(pdf, bytes(range(256)) * 16),
                Type=Name.XObject,
                Subtype=Name.Image,
                Width=64,
                Height=64,
                ColorSpace=Name.DeviceGray,
                BitsPerComponent=8,
            )
            drawn = b"q %f 0 0 %f %f %f cm /Picture Do Q " % (size[2] - size[0], size[3] - size[1], size[0], size[1])
            resources = Dictionary(XObject=Dictionary(Picture=picture), Font=Dictionary(F1=font))
            page = {"MediaBox": Array(size), "Resources": resources, **sheet}
            page["Contents"] = pdf.make_stream(drawn + content)
            pdf.pages.append(pikepdf.Page(pdf.make_indirect(Dictionary(Type=Name.Page, **page))))
        pdf.save(path)
    return path


@pytest.fixture
def searchable(tmp_path: Path, make: Any) -> Callable[..., Path]:
    """Makes the searchable PDF of an original and the pages read in it."""

    def searchable(original: Path, *pages: Page, media_type: str = "application/pdf") -> Path:
        result, target = tmp_path / "result.json", tmp_path / "searchable.pdf"
        result.write_text(make.document(*pages).model_dump_json())
        assert make_searchable(lambda _: None, original, media_type, result, target)
        return target

    return searchable


def shown_text(path: Path, number: int = 1) -> str:
    with pypdfium2.PdfDocument(path) as pdf:
        # What pdfium takes for a hyphen at the end of a line.
        return str(pdf[number - 1].get_textpage().get_text_range()).replace("\ufffe", "-\n")


def words_in(path: Path, number: int = 1) -> Counter[str]:
    return Counter(shown_text(path, number).split())


def rendered(path: Path) -> list[bytes]:
    with pypdfium2.PdfDocument(path) as pdf:
        return [page.render(scale=1).to_pil().tobytes() for page in pdf]


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
    import ctypes

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
def test_each_word_is_found_in_its_place(
    tmp_path: Path, make: Any, searchable: Any, lines: list[Line], sheet: Sheet, rotation: int
) -> None:
    original = a_pdf(tmp_path / "original.pdf", {name: _pdf_value(value) for name, value in sheet.items()})

    made = searchable(original, make.page(*lines, rotation=rotation, unit="pt"))

    for word in [word for line in lines for word in line.words if len(word.text) > 2]:
        assert place_of(made, word.text, rotation) == pytest.approx(word.box, abs=0.003), word.text
    assert words_in(made) == Counter(" ".join(LINES).split())
    assert pypdf.PdfReader(made).pages[0].extract_text().split() == " ".join(LINES).split()
    assert rendered(made) == rendered(original)


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
def test_all_of_unicode_comes_out(tmp_path: Path, make: Any, searchable: Any, text: str) -> None:
    line = make.line(text, 0.3, height=0.04)
    if _is_leftward(text):
        line = line.model_copy(update={"words": [_mirrored(word) for word in line.words]})

    made = searchable(a_pdf(tmp_path / "original.pdf"), make.page(line))

    assert words_in(made) == Counter(text.split())
    assert " ".join(shown_text(made).split()) == text


def _is_leftward(text: str) -> bool:
    return any("\u0590" <= character < "\u0700" for character in text)


def _mirrored(word: Word) -> Word:
    x0, y0, x1, y1 = word.box
    return word.model_copy(update={"box": (1 - x1, y0, 1 - x0, y1)})


def test_words_that_stand_together_stay_together(tmp_path: Path, make: Any, searchable: Any) -> None:
    first, second, last = make.line("中 文 ok", 0.1, height=0.03).words
    first = first.model_copy(update={"box": (0.1, 0.1, 0.12, 0.13)})
    words = [first, second, last]

    made = searchable(a_pdf(tmp_path / "original.pdf"), make.page(make.line("中文 ok", 0.1, words=words)))

    assert shown_text(made).split() == ["中文", "ok"]


def test_words_whose_boxes_touch_are_still_two(tmp_path: Path, make: Any, searchable: Any) -> None:
    boxes = [(0.1, 0.1, 0.2, 0.14), (0.2, 0.1, 0.3, 0.14), (0.28, 0.1, 0.4, 0.14)]
    words = [
        Word(text=text, confidence=None, box=box) for text, box in zip(["one", "two", "three"], boxes, strict=True)
    ]
    lines = [
        Line(text="one two three", confidence=None, box=(0.1, 0.1, 0.4, 0.14), words=words),
        make.line("four", 0.15, height=0.04),
    ]

    made = searchable(a_pdf(tmp_path / "original.pdf"), make.page(*lines))

    assert shown_text(made).split() == ["one", "two", "three", "four"]
    assert pypdf.PdfReader(made).pages[0].extract_text().split() == ["one", "two", "three", "four"]


def test_a_line_that_lies_askew_is_followed(tmp_path: Path, make: Any, searchable: Any) -> None:
    texts = ["these", "words", "climb", "up", "a", "page"]
    words = [
        Word(text=text, confidence=None, box=(0.1 + 0.12 * i, 0.5 - 0.02 * i, 0.2 + 0.12 * i, 0.54 - 0.02 * i))
        for i, text in enumerate(texts)
    ]
    line = Line(text=" ".join(texts), confidence=None, box=(0.1, 0.4, 0.8, 0.54), words=words)

    made = searchable(a_pdf(tmp_path / "original.pdf"), make.page(line))

    assert shown_text(made).split() == texts
    for word in words[:3]:
        assert place_of(made, word.text) == pytest.approx(word.box, abs=0.012)


@pytest.mark.parametrize("direction", ["down", "up"])
def test_what_is_written_along_the_side_is_found_there(
    tmp_path: Path, make: Any, searchable: Any, direction: str
) -> None:
    tops = {"first": 0.1, "second": 0.3, "third": 0.5}
    if direction == "up":
        tops = {word: 0.8 - top for word, top in tops.items()}
    words = [Word(text=text, confidence=None, box=(0.05, top, 0.1, top + 0.15)) for text, top in tops.items()]
    line = Line(text=" ".join(tops), confidence=None, box=(0.05, 0.1, 0.1, 0.85), words=words)

    made = searchable(a_pdf(tmp_path / "original.pdf"), make.page(line))

    assert words_in(made) == Counter(list(tops))
    for word in words:
        assert place_of(made, word.text) == pytest.approx(word.box, abs=0.003)


def test_pages_with_text_of_their_own_are_left_alone(tmp_path: Path, make: Any, searchable: Any) -> None:
    text = b"BT /F1 12 Tf 40 200 Td (Printed in the file) Tj ET"
    original = a_pdf(tmp_path / "original.pdf", {}, {}, content=text)
    printed = make.line("Printed in the file", 0.5)

    made = searchable(original, make.page(printed, source="embedded"), make.page(make.line("scanned", 0.1), number=2))

    assert words_in(made) == Counter(["Printed", "in", "the", "file"])
    assert words_in(made, 2) == Counter(["Printed", "in", "the", "file", "scanned"])
    assert rendered(made) == rendered(original)
    with Pdf.open(made) as after, Pdf.open(original) as before:
        assert after.pages[0].Contents.read_raw_bytes() == before.pages[0].Contents.read_raw_bytes()


def test_an_original_that_needs_nothing_is_not_written_again(tmp_path: Path, make: Any) -> None:
    result, target = tmp_path / "result.json", tmp_path / "made.pdf"
    page = make.page(make.line("text", 0.5), source="embedded")
    result.write_text(make.document(page, make.page(number=2)).model_dump_json())

    is_made = make_searchable(
        lambda _: None, a_pdf(tmp_path / "original.pdf", {}, {}), "application/pdf", result, target
    )

    assert (is_made, target.exists()) == (False, False)


INVISIBLE = (
    b"q BT 3 Tr /F1 12 Tf 1 0 0 1 40 300 Tm (old) Tj (layer) ' 0 Tr 0 -20 Td (seen) Tj ET Q "
    b"BT /F1 9 Tf 9 9 Td (too) Tj ET"
)


def test_an_older_invisible_layer_makes_room(tmp_path: Path, make: Any, searchable: Any) -> None:
    original = a_pdf(tmp_path / "original.pdf", content=INVISIBLE)
    assert words_in(original)["old"] == 1

    made = searchable(original, make.page(make.line("new text", 0.1)))

    assert words_in(made) == Counter(["new", "text", "seen", "too"])
    assert rendered(made) == rendered(original)


def test_an_older_layer_is_found_in_forms_and_left_on_other_pages(tmp_path: Path, make: Any, searchable: Any) -> None:
    original = a_pdf(tmp_path / "original.pdf", {}, {}, content=b"/Layer Do")
    with Pdf.open(original, allow_overwriting_input=True) as pdf:
        font = pdf.pages[0].Resources.Font
        form = pikepdf.Stream(pdf, INVISIBLE, Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 300, 400]))
        form.Resources = Dictionary(Font=font)
        for page in pdf.pages:
            page.Resources.XObject.Layer = form
        pdf.save(original)

    made = searchable(
        original, make.page(make.line("new", 0.1)), make.page(make.line("old layer", 0.1), number=2, source="embedded")
    )

    assert words_in(made) == Counter(["new", "seen", "too"])
    assert words_in(made, 2) == Counter(["old", "layer", "seen", "too"])
    assert rendered(made) == rendered(original)


def test_what_the_page_says_itself_is_not_said_twice(tmp_path: Path, make: Any, searchable: Any) -> None:
    # A stamp at the foot of a scan: 12 points high, its letters about 7 wide.
    original = a_pdf(tmp_path / "original.pdf", content=b"BT /F1 12 Tf 60 20 Td (EXHIBIT 7) Tj ET")
    stamp = Line(
        text="EXHlBIT 7",
        confidence=0.8,
        box=(0.19, 0.92, 0.4, 0.96),
        words=[
            Word(text="EXHlBIT", confidence=0.8, box=(0.19, 0.92, 0.36, 0.96)),
            Word(text="7", confidence=0.8, box=(0.365, 0.92, 0.4, 0.96)),
        ],
    )

    made = searchable(original, make.page(make.line("Scanned words", 0.3), stamp))

    assert words_in(made) == Counter(["Scanned", "words", "EXHIBIT", "7"])


def test_what_is_no_page_belongs_to_the_original(tmp_path: Path, make: Any, searchable: Any) -> None:
    original = a_pdf(tmp_path / "original.pdf")
    with Pdf.open(original, allow_overwriting_input=True) as pdf:
        pdf.attachments["data.csv"] = b"a,b"
        with pdf.open_outline() as outline:
            outline.root.append(pikepdf.OutlineItem("Chapter", 0))
        pdf.docinfo["/Title"] = "Deeds"
        pdf.save(original, linearize=True)

    made = searchable(original, make.page(make.line("words", 0.3)))

    with Pdf.open(made) as pdf:
        assert pdf.is_linearized
        assert pdf.attachments["data.csv"].get_file().read_bytes() == b"a,b"
        assert pdf.docinfo["/Title"] == "Deeds"
        with pdf.open_outline() as outline:
            assert [item.title for item in outline.root] == ["Chapter"]


def test_a_locked_but_open_original_keeps_its_lock(tmp_path: Path, make: Any, searchable: Any) -> None:
    original = a_pdf(tmp_path / "original.pdf")
    with Pdf.open(original, allow_overwriting_input=True) as pdf:
        allowed = pikepdf.Permissions(print_highres=False)
        pdf.save(original, encryption=pikepdf.Encryption(owner="secret", user="", allow=allowed))

    made = searchable(original, make.page(make.line("words", 0.3)))

    assert words_in(made) == Counter(["words"])
    with Pdf.open(made) as pdf:
        assert pdf.is_encrypted
        assert not pdf.allow.print_highres


def test_a_signature_is_not_kept_over_what_it_does_not_vouch_for(tmp_path: Path, make: Any, searchable: Any) -> None:
    original = a_pdf(tmp_path / "original.pdf")
    with Pdf.open(original, allow_overwriting_input=True) as pdf:
        signature = Dictionary(Type=Name.Sig, ByteRange=Array([0, 1, 2, 3]), Contents=pikepdf.String(b"\x30"))
        field = Dictionary(FT=Name.Sig, T=pikepdf.String("by"), V=pdf.make_indirect(signature))
        pdf.Root.AcroForm = Dictionary(Fields=Array([pdf.make_indirect(field)]), SigFlags=3)
        pdf.save(original)

    made = searchable(original, make.page(make.line("words", 0.3)))

    with Pdf.open(made) as pdf:
        assert "/V" not in pdf.Root.AcroForm.Fields[0]
        assert "/SigFlags" not in pdf.Root.AcroForm


def test_resources_that_pages_share_or_inherit_stay_whole(tmp_path: Path, make: Any, searchable: Any) -> None:
    original = a_pdf(tmp_path / "original.pdf", {}, {}, content=b"BT /F1 20 Tf 20 20 Td (shared) Tj ET")
    with Pdf.open(original, allow_overwriting_input=True) as pdf:
        pdf.Root.Pages.Resources = pdf.pages[0].Resources
        pdf.Root.Pages.Rotate = 90
        for page in pdf.pages:
            del page.obj["/Resources"]
        pdf.save(original)

    made = searchable(original, make.page(make.line("one", 0.3)), make.page(make.line("two", 0.3), number=2))

    assert (words_in(made), words_in(made, 2)) == (Counter(["one", "shared"]), Counter(["two", "shared"]))
    assert rendered(made) == rendered(original)


@pytest.mark.parametrize(
    "damage", [b"", b"%PDF-1.7\nnothing", b"%PDF-1.4\n1 0 obj <</Type/Catalog>> endobj trailer <<>>"]
)
def test_a_damaged_original_is_refused_in_words(tmp_path: Path, make: Any, damage: bytes) -> None:
    original, result = tmp_path / "original.pdf", tmp_path / "result.json"
    original.write_bytes(damage)
    result.write_text(make.document(make.page(make.line("words", 0.3))).model_dump_json())

    with pytest.raises(UnreadableOriginalError):
        make_searchable(lambda _: None, original, "application/pdf", result, tmp_path / "made.pdf")


def test_odd_lines_do_no_harm(tmp_path: Path, make: Any, searchable: Any) -> None:
    flat = Line(text="flat", confidence=None, box=(0.1, 0.1, 0.1, 0.1), words=[])
    blank = Line(text=" \x00 ", confidence=None, box=(0.1, 0.1, 0.2, 0.2), words=[])
    backwards = Line(text="backwards", confidence=None, box=(0.6, 0.34, 0.2, 0.3), words=[])

    made = searchable(
        a_pdf(tmp_path / "original.pdf"), make.page(flat, blank, backwards), make.page(make.line("gone", 0.1), number=9)
    )

    assert words_in(made) == Counter(["backwards"])


def test_pages_are_read_one_at_a_time(tmp_path: Path, make: Any) -> None:
    pages = [make.page(make.line(f"page {number}", 0.1), number=number) for number in (1, 2, 3)]
    path = tmp_path / "result.json"
    path.write_text(make.document(*pages).model_dump_json(indent=1))

    assert list(pages_of(path)) == pages

    path.write_text('{"text": "no pages"}')
    with pytest.raises(ValueError, match="no"):
        list(pages_of(path))


def test_the_same_original_gives_the_same_bytes(tmp_path: Path, make: Any, searchable: Any) -> None:
    original, page = a_pdf(tmp_path / "original.pdf"), make.page(make.line("words", 0.3))

    assert searchable(original, page).read_bytes() == searchable(original, page).read_bytes()
