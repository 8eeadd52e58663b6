"""Real pages against their reference texts. Prints the table: pytest -s."""

import time
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rapidfuzz.distance import Levenshtein

from alta_common.contracts.results import Page
from alta_common.engines.port import InputError
from alta_ocr.engines import reader
from alta_ocr.engines.engine import PageReading
from alta_ocr.engines.limits import DocumentLimits
from alta_ocr.engines.plan import Document


class Pages(list[PageReading]):
    """Takes what a worker process would report."""

    def __call__(self, page: Any) -> None:
        self.append(page)

    def count(self, units: int) -> None: ...


def read(path: Path) -> Pages:
    pages, document = Pages(), Document(path, DocumentLimits(), "auto")
    plan = reader.inspect(pages, document)
    reader.read_pages(pages, document, plan.media_type, range(1, plan.pages + 1), turn_seconds=600)
    return pages


def normalized(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def character_error_rate(text: str, truth: str) -> float:
    truth = normalized(truth)
    return Levenshtein.distance(normalized(text), truth) / len(truth)


def shared_words(text: str, truth: str) -> float:
    """Return the F1 of the two bags of words."""
    ours, theirs = Counter(normalized(text).split()), Counter(normalized(truth).split())
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())


@pytest.mark.parametrize(
    ("name", "truth", "page", "most_errors"),
    [
        ("img/tess_phototest.tif", "tess_phototest", 1, 0.0),
        ("img/tess_phototest-rotated-R.png", "tess_phototest", 1, 0.005),
        ("img/tess_phototest-rotated-180.png", "tess_phototest", 1, 0.005),
        ("img/tess_eurotext.tif", "tess_eurotext", 1, 0.01),
        ("img/unst_DA-1p.jpg", "pdf_DA1p", 1, 0.001),
        ("pdf/unst_DA-1p.pdf", "pdf_DA1p", 1, 0.001),
        ("pdf/gcs_invoice.pdf", "pdf_invoice", 1, 0.0),
        ("pdf/pypdf_crazyones.pdf", "pypdf_crazyones", 1, 0.0),
        ("pdf/unst_multi-column-2p.pdf", "pdf_multicol", 1, 0.015),
        # Its reference has the footer as the second line.
        ("pdf/pypdf_GeoBase_NHNC1_Data_Model_UML_EN.pdf", "pdf_geobase", 5, 0.09),
    ],
)
def test_real_pages_read_as_their_references_say(
    shared_data: Path, name: str, truth: str, page: int, most_errors: float
) -> None:
    reader.engine_of("auto")
    expected = (shared_data / "truth" / f"{truth}.txt").read_text()
    started = time.process_time()

    pages = read(shared_data / name)

    seconds = time.process_time() - started
    text = pages[page - 1].text
    errors, words = character_error_rate(text, expected), shared_words(text, expected)
    per_page = seconds / len(pages)
    print(f"\n{name:46} CER {errors:.4f}  F1 {words:.3f}  {per_page:.2f} CPU-s a page")  # noqa: T201
    assert errors <= most_errors


def test_columns_of_a_real_page_are_read_one_after_the_other(shared_data: Path) -> None:
    text = read(shared_data / "img/unst_double-column-A.jpg")[0].text

    assert "competi-\ntive service and to all incumbents" in text
    assert text.index("(b) Competitive position") < text.index("(c) Competitive status")
    assert text.index("(c) Competitive status") < text.index("§1.4 Extent of the excepted service.\n(a) The excepted")
    assert "1.2 Extent of the competitive service.\n1.3 Definitions." in text


def test_somebody_elses_ocr_is_not_passed_on(shared_data: Path) -> None:
    [page] = read(shared_data / "pdf/unst_pdf-with-ocr-text.pdf")

    assert page.source == "ocr"
    assert "A letter from The Amalgamated Sugar Company accepting" in page.text


def test_a_page_that_lies_on_its_side_is_upright_in_its_result(shared_data: Path) -> None:
    [pdf] = read(shared_data / "pdf/unst_rotated-page-90.pdf")
    [photo] = read(shared_data / "img/rapid_img_exif_orientation.jpg")

    page = Page.model_validate_json(pdf.content)
    assert page.height > page.width
    assert pdf.text.split("\n") == ["Hello World Test Text", "Second line of text here", "Rotated page fixture"]
    assert Page.model_validate_json(photo.content).rotation == 0


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("pdf/pypdf_crazyones-encrypted-256.pdf", "password_protected"),
        ("pdf/pypdf_r6-user-password.pdf", "password_protected"),
        ("bad/pillow_broken.png", "corrupt_file"),
        ("bad/ps_null.wav", "unsupported_media_type"),
    ],
)
def test_real_files_that_cannot_be_read_say_why(shared_data: Path, name: str, code: str) -> None:
    with pytest.raises(InputError) as refused:
        read(shared_data / name)

    assert refused.value.code == code


def test_a_file_that_only_its_owner_may_change_is_read(shared_data: Path) -> None:
    assert "pdf encryption test" in read(shared_data / "pdf/pypdf_r6-owner-password.pdf")[0].text
