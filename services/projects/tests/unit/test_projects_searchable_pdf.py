"""Searchable PDFs: nothing is said twice, nothing looks different, and the rest of the original stays."""

from collections import Counter
from pathlib import Path
from typing import Any

import pikepdf
import pypdf
import pytest
from pikepdf import Array, Dictionary, Name, Pdf

from alta_common.contracts.results import Line, Word
from alta_projects.formats.canonical import pages_of
from alta_projects.formats.errors import UnreadableOriginalError
from alta_projects.formats.searchable.job import make_searchable


def test_pages_with_text_of_their_own_are_left_alone(make: Any, scans: Any) -> None:
    text = b"BT /F1 12 Tf 40 200 Td (Printed in the file) Tj ET"
    original = scans.original({}, {}, content=text)
    printed = make.line("Printed in the file", 0.5)

    made = scans.searchable(
        original, make.page(printed, source="embedded"), make.page(make.line("scanned", 0.1), number=2)
    )

    assert scans.words(made) == Counter(["Printed", "in", "the", "file"])
    assert scans.words(made, 2) == Counter(["Printed", "in", "the", "file", "scanned"])
    assert scans.rendered(made) == scans.rendered(original)
    with Pdf.open(made) as after, Pdf.open(original) as before:
        assert after.pages[0].Contents.read_raw_bytes() == before.pages[0].Contents.read_raw_bytes()


def test_an_original_that_needs_nothing_is_not_written_again(tmp_path: Path, make: Any, scans: Any) -> None:
    result, target = tmp_path / "result.json", tmp_path / "made.pdf"
    page = make.page(make.line("text", 0.5), source="embedded")
    result.write_text(make.document(page, make.page(number=2)).model_dump_json())

    is_made = make_searchable(lambda _: None, scans.original({}, {}), "application/pdf", result, target)

    assert (is_made, target.exists()) == (False, False)


INVISIBLE = (
    b"q BT 3 Tr /F1 12 Tf 1 0 0 1 40 300 Tm (old) Tj (layer) ' 0 Tr 0 -20 Td (seen) Tj ET Q "
    b"BT /F1 9 Tf 9 9 Td (too) Tj ET"
)


def test_an_older_invisible_layer_makes_room(make: Any, scans: Any) -> None:
    original = scans.original(content=INVISIBLE)
    assert scans.words(original)["old"] == 1

    made = scans.searchable(original, make.page(make.line("new text", 0.1)))

    assert scans.words(made) == Counter(["new", "text", "seen", "too"])
    assert scans.rendered(made) == scans.rendered(original)


def test_an_older_layer_is_found_in_forms_and_left_on_other_pages(make: Any, scans: Any) -> None:
    original = scans.original({}, {}, content=b"/Layer Do")
    with Pdf.open(original, allow_overwriting_input=True) as pdf:
        font = pdf.pages[0].Resources.Font
        form = pikepdf.Stream(pdf, INVISIBLE, Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 300, 400]))
        form.Resources = Dictionary(Font=font)
        for page in pdf.pages:
            page.Resources.XObject.Layer = form
        pdf.save(original)

    made = scans.searchable(
        original, make.page(make.line("new", 0.1)), make.page(make.line("old layer", 0.1), number=2, source="embedded")
    )

    assert scans.words(made) == Counter(["new", "seen", "too"])
    assert scans.words(made, 2) == Counter(["old", "layer", "seen", "too"])
    assert scans.rendered(made) == scans.rendered(original)


def test_what_the_page_says_itself_is_not_said_twice(make: Any, scans: Any) -> None:
    # A stamp at the foot of a scan: 12 points high, its letters about 7 wide.
    original = scans.original(content=b"BT /F1 12 Tf 60 20 Td (EXHIBIT 7) Tj ET")
    stamp = Line(
        text="EXHlBIT 7",
        confidence=0.8,
        box=(0.19, 0.92, 0.4, 0.96),
        words=[
            Word(text="EXHlBIT", confidence=0.8, box=(0.19, 0.92, 0.36, 0.96)),
            Word(text="7", confidence=0.8, box=(0.365, 0.92, 0.4, 0.96)),
        ],
    )

    made = scans.searchable(original, make.page(make.line("Scanned words", 0.3), stamp))

    assert scans.words(made) == Counter(["Scanned", "words", "EXHIBIT", "7"])


def test_what_the_page_says_beyond_the_first_plane_is_not_said_twice(make: Any, scans: Any) -> None:
    original = scans.original(content=b"BT /F1 12 Tf 60 20 Td (AB) Tj ET")
    cmap = b"<00> <ff> endcodespacerange 2 beginbfchar <41> <D835DC00> <42> <D83DDE00> endbfchar"
    with Pdf.open(original, allow_overwriting_input=True) as pdf:
        pdf.pages[0].Resources.Font.F1.ToUnicode = pdf.make_stream(b"1 begincodespacerange " + cmap)
        pdf.save(original)
    word = Word(text="\U0001d400\U0001f600", confidence=None, box=(0.19, 0.92, 0.27, 0.96))
    line = Line(text=word.text, confidence=None, box=word.box, words=[word])

    made = scans.searchable(original, make.page(make.line("Scanned words", 0.3), line))

    # pdfium leaves out what stands in one place twice; others don't.
    assert pypdf.PdfReader(made).pages[0].extract_text().count("\U0001d400") == 1


def test_what_is_no_page_belongs_to_the_original(make: Any, scans: Any) -> None:
    original = scans.original()
    with Pdf.open(original, allow_overwriting_input=True) as pdf:
        pdf.attachments["data.csv"] = b"a,b"
        with pdf.open_outline() as outline:
            outline.root.append(pikepdf.OutlineItem("Chapter", 0))
        pdf.docinfo["/Title"] = "Deeds"
        pdf.save(original, linearize=True)

    made = scans.searchable(original, make.page(make.line("words", 0.3)))

    with Pdf.open(made) as pdf:
        assert pdf.is_linearized
        assert pdf.attachments["data.csv"].get_file().read_bytes() == b"a,b"
        assert pdf.docinfo["/Title"] == "Deeds"
        with pdf.open_outline() as outline:
            assert [item.title for item in outline.root] == ["Chapter"]


def test_a_locked_but_open_original_keeps_its_lock(make: Any, scans: Any) -> None:
    original = scans.original()
    with Pdf.open(original, allow_overwriting_input=True) as pdf:
        allowed = pikepdf.Permissions(print_highres=False)
        pdf.save(original, encryption=pikepdf.Encryption(owner="secret", user="", allow=allowed))

    made = scans.searchable(original, make.page(make.line("words", 0.3)))

    assert scans.words(made) == Counter(["words"])
    with Pdf.open(made) as pdf:
        assert pdf.is_encrypted
        assert not pdf.allow.print_highres


def test_a_signature_is_not_kept_over_what_it_does_not_vouch_for(make: Any, scans: Any) -> None:
    original = scans.original()
    with Pdf.open(original, allow_overwriting_input=True) as pdf:
        signature = Dictionary(Type=Name.Sig, ByteRange=Array([0, 1, 2, 3]), Contents=pikepdf.String(b"\x30"))
        field = Dictionary(FT=Name.Sig, T=pikepdf.String("by"), V=pdf.make_indirect(signature))
        pdf.Root.AcroForm = Dictionary(Fields=Array([pdf.make_indirect(field)]), SigFlags=3)
        pdf.save(original)

    made = scans.searchable(original, make.page(make.line("words", 0.3)))

    with Pdf.open(made) as pdf:
        assert "/V" not in pdf.Root.AcroForm.Fields[0]
        assert "/SigFlags" not in pdf.Root.AcroForm


def test_resources_that_pages_share_or_inherit_stay_whole(make: Any, scans: Any) -> None:
    original = scans.original({}, {}, content=b"BT /F1 20 Tf 20 20 Td (shared) Tj ET")
    with Pdf.open(original, allow_overwriting_input=True) as pdf:
        pdf.Root.Pages.Resources = pdf.pages[0].Resources
        pdf.Root.Pages.Rotate = 90
        for page in pdf.pages:
            del page.obj["/Resources"]
        pdf.save(original)

    made = scans.searchable(original, make.page(make.line("one", 0.3)), make.page(make.line("two", 0.3), number=2))

    assert (scans.words(made), scans.words(made, 2)) == (Counter(["one", "shared"]), Counter(["two", "shared"]))
    assert scans.rendered(made) == scans.rendered(original)


@pytest.mark.parametrize(
    "damage", [b"", b"%PDF-1.7\nnothing", b"%PDF-1.4\n1 0 obj <</Type/Catalog>> endobj trailer <<>>"]
)
def test_a_damaged_original_is_refused_in_words(tmp_path: Path, make: Any, damage: bytes) -> None:
    original, result = tmp_path / "original.pdf", tmp_path / "result.json"
    original.write_bytes(damage)
    result.write_text(make.document(make.page(make.line("words", 0.3))).model_dump_json())

    with pytest.raises(UnreadableOriginalError):
        make_searchable(lambda _: None, original, "application/pdf", result, tmp_path / "made.pdf")


def test_an_original_that_asks_for_a_password_is_refused_in_words(tmp_path: Path, make: Any, scans: Any) -> None:
    original, result = scans.original(), tmp_path / "result.json"
    with Pdf.open(original, allow_overwriting_input=True) as pdf:
        pdf.save(original, encryption=pikepdf.Encryption(owner="secret", user="secret"))
    result.write_text(make.document(make.page(make.line("words", 0.3))).model_dump_json())

    with pytest.raises(UnreadableOriginalError, match="protected"):
        make_searchable(lambda _: None, original, "application/pdf", result, tmp_path / "made.pdf")


def test_odd_lines_do_no_harm(make: Any, scans: Any) -> None:
    flat = Line(text="flat", confidence=None, box=(0.1, 0.1, 0.1, 0.1), words=[])
    blank = Line(text=" \x00 ", confidence=None, box=(0.1, 0.1, 0.2, 0.2), words=[])
    backwards = Line(text="backwards", confidence=None, box=(0.6, 0.34, 0.2, 0.3), words=[])

    made = scans.searchable(
        scans.original(), make.page(flat, blank, backwards), make.page(make.line("gone", 0.1), number=9)
    )

    assert scans.words(made) == Counter(["backwards"])


def test_pages_are_read_one_at_a_time(tmp_path: Path, make: Any) -> None:
    pages = [make.page(make.line(f"page {number}", 0.1), number=number) for number in (1, 2, 3)]
    path = tmp_path / "result.json"
    path.write_text(make.document(*pages).model_dump_json(indent=1))

    assert list(pages_of(path)) == pages

    path.write_text('{"text": "no pages"}')
    with pytest.raises(ValueError, match="no"):
        list(pages_of(path))


def test_the_same_original_gives_the_same_bytes(make: Any, scans: Any) -> None:
    original, page = scans.original(), make.page(make.line("words", 0.3))

    assert scans.searchable(original, page).read_bytes() == scans.searchable(original, page).read_bytes()
