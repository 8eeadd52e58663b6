"""Text layers, read in this process."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

from alta_common.contracts.results import Page
from alta_ocr.engines.text_layer import read_text_layer


@pytest.fixture
def read() -> Iterator[Callable[..., Page | None]]:
    """Reads a page by its text layer; None where that cannot be trusted."""
    documents: list[Any] = []

    def read(path: Path, number: int = 1, *, rotation: int = 0) -> Page | None:
        documents.append(pypdfium2.PdfDocument(path))
        page = documents[-1][number - 1]
        if rotation:
            page.set_rotation(rotation)
        try:
            return read_text_layer(page, number)
        finally:
            page.close()

    yield read
    for document in documents:
        document.close()
