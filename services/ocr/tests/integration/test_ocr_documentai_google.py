"""Document AI itself. Runs where DOCUMENTAI_PROCESSOR, GCS_PROJECT_ID and credentials are in the environment.

A run reads 17 pages, some 3 cents; with GCS_BUCKET_NAME 17 more in a batch.
"""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from alta_common.contracts.results import Page
from alta_common.engines.operations import OperationStore
from alta_common.engines.port import SourceFile
from alta_common.ids import new_id
from alta_common.storage import create_storage
from alta_common.workers.pool import WorkerPool
from alta_ocr.engines.documentai import DocumentAiEngine
from alta_ocr.engines.engine import OcrOptions
from alta_ocr.settings import OcrSettings
from alta_ocr.worker import create_documentai_engine

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(
        not all(name in os.environ for name in ("DOCUMENTAI_PROCESSOR", "GCS_PROJECT_ID"))
        or "DOCUMENTAI_ENDPOINT" in os.environ,
        reason="no processor of Google's is configured: DOCUMENTAI_PROCESSOR, GCS_PROJECT_ID",
    ),
    # A batch takes minutes.
    pytest.mark.timeout(1800),
]


@pytest_asyncio.fixture(params=["online", "batch"], loop_scope="session")
async def engine(request: pytest.FixtureRequest, pool: WorkerPool) -> AsyncIterator[DocumentAiEngine]:
    if request.param == "batch" and "GCS_BUCKET_NAME" not in os.environ:
        pytest.skip("there is no bucket: GCS_BUCKET_NAME")
    pages = 10 if request.param == "batch" else 1000
    settings = OcrSettings(rabbitmq_url="amqp://nobody/", documentai_batch_pages=pages)
    engine = create_documentai_engine(settings, pool, create_storage(settings))
    yield engine
    await engine.close()


async def test_google_reads_a_document_of_17_pages(engine: DocumentAiEngine, pdf_file: Callable[..., Path]) -> None:
    texts = [f"This is page number {number} of this document" for number in range(1, 18)]
    path = pdf_file(*[(text,) for text in texts])
    operations = OperationStore(create_storage(OcrSettings(rabbitmq_url="amqp://nobody/")), new_id(), new_id())

    reading = await engine.recognize(
        SourceFile(path, "application/pdf"), OcrOptions(operations=operations), lambda *_: None
    )

    assert [page.text for page in reading.pages] == texts
    assert reading.language == "en"
    for reading_of_page in reading.pages:
        page = Page.model_validate_json(reading_of_page.content)
        x0, y0, x1, y1 = page.lines[0].box
        assert page.rotation == 0
        # Where fpdf has put it: 60 of 600 points from the left, its baseline 100 of 800 from the top.
        assert (x0, y1) == pytest.approx((0.1, 0.125), abs=0.03)
        assert (x1 > x0, y1 > y0) == (True, True)
