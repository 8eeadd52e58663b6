"""The whole process with a real broker: requests in, events out, whatever happens to it."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aio_pika
import httpx
import orjson
import pytest
from PIL import Image

from alta_common.contracts.projects import DocumentOcrCancelled, DocumentOcrRequested
from alta_common.contracts.results import OcrResult
from alta_common.ids import new_id
from alta_common.messaging.topology import OCR_QUEUE
from alta_common.storage.filesystem import FilesystemObjectStorage
from alta_common.testing import eventually
from alta_common.testing.messages import Heard, listening, publish

STARTED = timedelta(seconds=120)
ANSWERED = timedelta(seconds=120)
BOOK_PAGES = 10
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Service:
    """A running ocr process and its log lines."""

    process: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(default_factory=list)

    async def follow(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(orjson.loads(line))

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("event") == event]

    def outcomes(self, outcome: str) -> list[dict[str, Any]]:
        return [line for line in self.logged("work.finished") if line["outcome"] == outcome]

    def killed_workers(self) -> list[int]:
        """The process ids of the workers that a cancellation killed."""
        lines = self.logged("worker.replaced")
        return [
            line["pid"] for line in lines if line["reason"] == "cancelled" and not Path(f"/proc/{line['pid']}").exists()
        ]

    async def get(self, path: str) -> httpx.Response:
        port = self.logged("internal.listening")[0]["port"]
        async with httpx.AsyncClient(timeout=60) as client:
            return await client.get(f"http://127.0.0.1:{port}{path}")

    async def pages_read(self) -> float:
        """The pages that its workers have looked at."""
        lines = (await self.get("/metrics")).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("alta_ocr_pages_total{"))

    async def measures(self, sample: str) -> bool:
        """Say whether a line is among its metrics."""
        return sample in (await self.get("/metrics")).text

    async def is_ready(self) -> bool:
        return (await self.get("/health/ready")).status_code == 200


Start = Callable[..., Any]


@pytest.fixture
def storage(tmp_path: Path) -> FilesystemObjectStorage:
    return FilesystemObjectStorage(tmp_path / "storage")


@pytest.fixture
def start(rabbitmq_url: str, tmp_path: Path) -> Start:
    @asynccontextmanager
    async def run(**settings: str) -> AsyncIterator[Service]:
        environment = {
            "RABBITMQ_URL": rabbitmq_url,
            "STORAGE_DIR": str(tmp_path / "storage"),
            "INTERNAL_PORT": "0",
            "OCR_WORKERS": "1",
            "PATH": "/usr/bin:/bin",
            **settings,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "alta_ocr.worker", stdout=asyncio.subprocess.PIPE, env=environment
        )
        service = Service(process)
        following = asyncio.create_task(service.follow())
        try:
            await eventually(service.is_ready, STARTED)
            yield service
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await following

    return run


@pytest.fixture
def upload(storage: FilesystemObjectStorage) -> Callable[..., Any]:
    async def store(path: Path, **values: Any) -> DocumentOcrRequested:
        project_id, document_id = new_id(), new_id()
        key = f"documents/{project_id}/{document_id}/original"
        stored = await storage.put_bytes(key, await asyncio.to_thread(path.read_bytes), "application/pdf")
        return DocumentOcrRequested(
            document_id=document_id,
            project_id=project_id,
            object_key=key,
            content_type="application/pdf",
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            filename=path.name,
            **values,
        )

    return store


def answers(heard: Heard, request: DocumentOcrRequested) -> list[dict[str, Any]]:
    """The final events that answer a request."""
    return [
        envelope
        for envelope in heard.envelopes
        if envelope["data"]["request_event_id"] == str(request.event_id)
        and envelope["type"] in {"DOCUMENT_OCR_COMPLETED", "DOCUMENT_OCR_FAILED"}
    ]


def progress_of(heard: Heard, request: DocumentOcrRequested) -> bool:
    """Say whether work on a request has been heard to begin."""
    return any(
        envelope["type"] == "DOCUMENT_OCR_PROGRESSED" and envelope["data"]["request_event_id"] == str(request.event_id)
        for envelope in heard.envelopes
    )


def kept_in(folder: Path) -> list[Path]:
    """The parts that are kept of unfinished work."""
    return list(folder.glob("storage/results/*/*.part-*"))


async def test_requests_are_answered(
    start: Start,
    rabbitmq_url: str,
    storage: FilesystemObjectStorage,
    upload: Callable[..., Any],
    image_file: Callable[..., Path],
    pdf_file: Callable[..., Path],
    tmp_path: Path,
    paragraph: tuple[str, ...],
) -> None:
    (tmp_path / "text.pdf").write_text("no pdf at all")
    requests = [
        await upload(image_file()),
        await upload(pdf_file()),
        await upload(tmp_path / "text.pdf"),
        await upload(pdf_file(name="for-google.pdf"), engine="google"),
    ]
    scan, letter, nothing, diverted = requests
    async with start(OCR_FALLBACK_ENGINE="local") as service, listening(rabbitmq_url, "ocr.events") as heard:
        for request in requests:
            await publish(rabbitmq_url, request, correlation_id="the-upload", traceparent=TRACE)
        await eventually(lambda: all(answers(heard, one) for one in requests), ANSWERED)
        await publish(rabbitmq_url, scan)
        await eventually(lambda: len(answers(heard, scan)) == 2, ANSWERED)

        first, second = answers(heard, scan)
        result = OcrResult.model_validate_json(await storage.read(first["data"]["result_key"]))
        assert result.text == "\n".join(paragraph)
        assert first["id"] == second["id"]
        assert first["correlationid"] == "the-upload"
        assert first["traceparent"].split("-")[1] == TRACE.split("-")[1]
        assert answers(heard, letter)[0]["data"]["engine_name"] == "pdf-text"
        assert answers(heard, nothing)[0]["data"]["code"] == "unsupported_media_type"
        assert all(progress_of(heard, one) for one in (scan, letter))

        assert answers(heard, diverted)[0]["data"]["warnings"] == ["fallback_engine_used"]
        for sample in (
            'alta_ocr_jobs_total{outcome="completed"} 3.0',
            'alta_engine_fallbacks_total{engine="documentai",fallback="local"} 1.0',
            'alta_ocr_jobs_total{outcome="republished"} 1.0',
            'alta_ocr_jobs_total{outcome="unsupported_media_type"} 1.0',
            'alta_engine_seconds_per_unit_count{engine="rapidocr"} 1.0',
        ):
            await eventually(lambda sample=sample: service.measures(sample), ANSWERED)
        assert (await service.get("/health/live")).status_code == 200

        service.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(service.process.wait(), 60) == 0


async def test_what_a_killed_or_stopped_service_was_at_is_done_by_the_next(
    start: Start,
    rabbitmq_url: str,
    upload: Callable[..., Any],
    image_file: Callable[..., Path],
    picture_of: Callable[..., Image.Image],
    raw_pdf: Callable[..., Path],
    tmp_path: Path,
) -> None:
    scan = picture_of()
    letter = await upload(image_file(scan, "letter.png"))
    book = await upload(image_file(scan, "book.pdf", save_all=True, append_images=[scan] * (BOOK_PAGES - 1)))
    endless = await upload(raw_pdf(b"0 0 m 100 100 l S\n" * 3_000_000))
    async with listening(rabbitmq_url, "ocr.events") as heard:
        async with start(OCR_KEEP_SECONDS="0") as service:
            await publish(rabbitmq_url, letter)
            await publish(rabbitmq_url, book)
            await eventually(lambda: kept_in(tmp_path), ANSWERED)
            service.process.kill()
        assert answers(heard, book) == []

        async with start(DRAIN_SECONDS="1") as service:
            await eventually(lambda: answers(heard, letter) and answers(heard, book), ANSWERED)
            # What the killed process had kept was not read again.
            assert await service.pages_read() < BOOK_PAGES
            await publish(rabbitmq_url, endless)
            await eventually(lambda: progress_of(heard, endless), ANSWERED)
            service.process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(service.process.wait(), 60) == 0

        for request in (letter, book):
            assert len({envelope["id"] for envelope in answers(heard, request)}) == 1
        assert answers(heard, book)[0]["data"]["pages"] == BOOK_PAGES
        assert kept_in(tmp_path) == []
        assert answers(heard, endless) == []
    assert await waiting_in(rabbitmq_url) == [str(endless.event_id)]


async def test_what_is_cancelled_is_stopped_at_once_and_what_is_beside_it_is_not(
    start: Start,
    rabbitmq_url: str,
    upload: Callable[..., Any],
    image_file: Callable[..., Path],
    raw_pdf: Callable[..., Path],
) -> None:
    endless_page = raw_pdf(b"0 0 m 100 100 l S\n" * 3_000_000)
    first, second = await upload(endless_page, attempt=2), await upload(endless_page)
    behind, unborn = await upload(image_file()), await upload(image_file())
    async with (
        start(OCR_WORKERS="2", OCR_PAGE_SECONDS="900") as service,
        listening(rabbitmq_url, "ocr.events") as heard,
    ):
        await publish(rabbitmq_url, cancellation_of(unborn))
        await publish(rabbitmq_url, first)
        await publish(rabbitmq_url, second)
        await eventually(lambda: progress_of(heard, first) and progress_of(heard, second), ANSWERED)

        await publish(rabbitmq_url, cancellation_of(first))
        await eventually(lambda: len(service.killed_workers()) == 1, ANSWERED)
        await publish(rabbitmq_url, cancellation_of(second))
        await eventually(lambda: len(service.killed_workers()) == 2, ANSWERED)
        await publish(rabbitmq_url, unborn)
        await publish(rabbitmq_url, behind)
        await eventually(lambda: answers(heard, behind), ANSWERED)
        await eventually(lambda: len(service.outcomes("cancelled")) == 3, ANSWERED)

        assert await service.measures('alta_ocr_jobs_total{outcome="cancelled"} 3.0')
        assert await service.measures('alta_ocr_worker_restarts_total{reason="cancelled"} 2.0')
        for request in (first, second, unborn):
            assert answers(heard, request) == []
        # Nothing is left of them: a drain has nothing to hand back.
        service.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(service.process.wait(), 60) == 0
        assert not service.logged("consumers.handed_back")


def cancellation_of(request: DocumentOcrRequested) -> DocumentOcrCancelled:
    return DocumentOcrCancelled(
        document_id=request.document_id, project_id=request.project_id, attempt=request.attempt, reason="cancelled"
    )


async def waiting_in(rabbitmq_url: str) -> list[str]:
    """Take the message that waits in the queue and return its event's id."""
    async with await aio_pika.connect(rabbitmq_url) as connection:
        queue = await (await connection.channel()).get_queue(OCR_QUEUE, ensure=False)
        message = await eventually(lambda: queue.get(no_ack=True, fail=False))
        return [orjson.loads(message.body)["id"]]


async def test_an_unusable_setting_is_named() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alta_ocr.worker"), stderr=asyncio.subprocess.PIPE, env={"OCR_WORKERS": "0"}
    )

    _, stderr = await process.communicate()

    assert process.returncode == 2
    assert b"OCR_WORKERS" in stderr
    assert b"RABBITMQ_URL" in stderr
