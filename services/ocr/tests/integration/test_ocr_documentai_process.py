"""The whole process with Document AI: killed while Google works, it pays nothing twice and leaves nothing behind."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from alta_common.contracts.projects import DocumentOcrCancelled, DocumentOcrRequested
from alta_common.contracts.results import OcrResult
from alta_common.ids import new_id
from alta_common.testing import eventually
from alta_common.testing.messages import listening, publish

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATIENCE = 120


@asynccontextmanager
async def running(google: Any, rabbitmq_url: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {
        "RABBITMQ_URL": rabbitmq_url,
        "INTERNAL_PORT": "0",
        "OCR_WORKERS": "1",
        "OCR_ENGINE": "documentai",
        "DOCUMENTAI_PROCESSOR": "ocr",
        "DOCUMENTAI_ENDPOINT": google.address,
        "DOCUMENTAI_BATCH_PAGES": "1",
        "GCS_PROJECT_ID": "test",
        "GCS_BUCKET_NAME": "alta-documents",
        "GCS_ENDPOINT": google.gcs_endpoint,
        "TMPDIR": str(folder),
        "PATH": "/usr/bin:/bin",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alta_ocr.worker"), stdout=asyncio.subprocess.DEVNULL, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def uploaded(google: Any, path: Path) -> DocumentOcrRequested:
    project_id, document_id = new_id(), new_id()
    key = f"documents/{project_id}/{document_id}/original"
    stored = await google.bucket.put_file(key, path, "application/pdf")
    return DocumentOcrRequested(
        document_id=document_id,
        project_id=project_id,
        object_key=key,
        content_type="application/pdf",
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        filename=path.name,
    )


async def test_an_operation_outlives_the_process_that_began_it_but_not_its_cancellation(
    google: Any, serve: Any, rabbitmq_url: str, pdf_file: Callable[..., Path], tmp_path: Path
) -> None:
    await serve()
    google.operations.hold()
    request = await uploaded(google, pdf_file(("one",), ("two",), ("three",)))
    unwanted = await uploaded(google, pdf_file(("not",), ("wanted",), name="unwanted.pdf"))
    polls = google.faults.calls
    async with listening(rabbitmq_url, "ocr.events") as heard:
        async with running(google, rabbitmq_url, tmp_path) as process:
            await eventually(lambda: is_published(rabbitmq_url, request), PATIENCE)
            await eventually(lambda: polls["GetOperation"] > 1, PATIENCE)
            process.kill()

        async with running(google, rabbitmq_url, tmp_path) as process:
            seen = polls["GetOperation"]
            await eventually(lambda: polls["GetOperation"] > seen, PATIENCE)
            await publish(rabbitmq_url, unwanted)
            await eventually(lambda: len(google.operations.started) == 2, PATIENCE)
            await publish(
                rabbitmq_url,
                DocumentOcrCancelled(
                    document_id=unwanted.document_id, project_id=unwanted.project_id, attempt=1, reason="cancelled"
                ),
            )
            await eventually(lambda: google.operations.cancelled, PATIENCE)
            google.operations.release()
            completed = await eventually(
                lambda: [one["data"] for one in heard.envelopes if one["type"] == "DOCUMENT_OCR_COMPLETED"], PATIENCE
            )
            await eventually(lambda: nothing_is_left(google, request, unwanted), PATIENCE)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(60):
                assert await process.wait() == 0

    assert [one["request_event_id"] for one in completed] == [str(request.event_id)]
    result = OcrResult.model_validate_json(await google.bucket.read(completed[0]["result_key"]))
    assert [page.lines[0].text for page in result.pages] == ["one", "two", "three"]
    assert result.engine.name == "documentai"
    assert google.operations.cancelled == [google.operations.started[1]]
    assert len(google.operations.started) == 2


async def is_published(rabbitmq_url: str, request: DocumentOcrRequested) -> bool:
    """Publish, which fails until the process has made its queue."""
    await publish(rabbitmq_url, request)
    return True


async def nothing_is_left(google: Any, *requests: DocumentOcrRequested) -> bool:
    """Say whether only the originals and one result are in the bucket."""
    kept: list[str] = []
    for request in requests:
        kept += await google.bucket.keys_below(f"work/{request.document_id}")
        kept += await google.bucket.keys_below(f"results/{request.document_id}")
    return [key.endswith(".json") for key in kept] == [True]
