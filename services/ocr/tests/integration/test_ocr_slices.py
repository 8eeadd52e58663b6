"""Long documents on a real broker, with an engine that reads and hangs on cue."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aio_pika
import pytest

from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.contracts.results import EngineInfo, OcrResult, Page
from alta_common.engines.port import SourceFile
from alta_common.engines.rules import WorkRules
from alta_common.ids import new_id
from alta_common.messaging.consumers import ConsumerApp
from alta_common.messaging.publisher import EventPublisher
from alta_common.messaging.topology import OCR_QUEUE
from alta_common.testing import eventually
from alta_common.testing.messages import Heard, listening, publish
from alta_common.testing.storage import MemoryObjectStorage
from alta_ocr.application.extraction import ExtractionService
from alta_ocr.consumers import broadcasts, consumers
from alta_ocr.engines.engine import DocumentReading, OcrOptions, PageReading, Progress

PAGES = 9
LONG = timedelta(seconds=60)
LONG_SLICE, SHORT_SLICE = 3600.0, 2.0


@dataclass
class CuedEngine:
    """Reads nine pages, each of which it keeps; hangs before the page that it is told to."""

    hangs_before: int = 0
    read: Counter[int] = field(default_factory=Counter)
    hung: int = 0

    async def recognize(self, source: SourceFile, options: OcrOptions, progress: Progress) -> DocumentReading:
        assert await asyncio.to_thread(source.path.exists)
        kept = {int(name): content for name, content in (await options.checkpoint.load()).items()}
        for number in range(1, PAGES + 1):
            progress(len(kept), PAGES)
            if number not in kept:
                kept[number] = await self._read(number)
                await options.checkpoint.save(str(number), kept[number])
        pages = [PageReading.of(Page.model_validate_json(kept[number]), 0.1) for number in sorted(kept)]
        return DocumentReading(EngineInfo(name="cued", version="1"), options.language, pages)

    async def abandon(self, options: OcrOptions) -> None: ...

    async def check(self) -> None: ...

    async def _read(self, number: int) -> bytes:
        if number == self.hangs_before:
            self.hung += 1
            await asyncio.Event().wait()
        self.read[number] += 1
        return Page(number=number, width=1, height=1, confidence=None, lines=[]).model_dump_json().encode()


@dataclass
class Deployment:
    """Processes of ocr on one broker and one object storage."""

    rabbitmq_url: str
    storage: MemoryObjectStorage = field(default_factory=MemoryObjectStorage)

    @asynccontextmanager
    async def process(
        self, engine: CuedEngine, *, slice_seconds: float = LONG_SLICE, drain_seconds: float = 60.0
    ) -> AsyncIterator[ConsumerApp]:
        """Run a process, and end it as SIGTERM does."""
        publisher = EventPublisher(self.rabbitmq_url, "ocr")
        rules = WorkRules("local", job_seconds=2 * LONG_SLICE, slice_seconds=slice_seconds)
        extraction = ExtractionService(self.storage, {"local": engine}, publisher, rules)
        table = consumers(extraction, at_once=1, time_slice=timedelta(seconds=slice_seconds))
        app = ConsumerApp(self.rabbitmq_url, "ocr", table, drain_seconds, broadcasts=broadcasts(extraction))
        await publisher.start()
        await app.start()
        try:
            yield app
        finally:
            await app.stop()
            await publisher.stop()

    async def request(self) -> DocumentOcrRequested:
        request = DocumentOcrRequested(
            document_id=new_id(),
            project_id=new_id(),
            object_key=f"documents/{new_id()}",
            content_type="application/pdf",
            size_bytes=1,
            sha256="0" * 64,
            filename="book.pdf",
        )
        await self.storage.put_bytes(request.object_key, b"x", "application/pdf")
        return request

    def kept(self) -> list[str]:
        """The objects that are kept of unfinished work."""
        return [key for key in self.storage.objects if ".part" in key]


@pytest.fixture
def deployment(rabbitmq_url: str) -> Deployment:
    return Deployment(rabbitmq_url)


def answers(heard: Heard) -> list[dict[str, Any]]:
    return [envelope for envelope in heard.envelopes if envelope["type"] != "DOCUMENT_OCR_PROGRESSED"]


def pages_of(deployment: Deployment, answer: dict[str, Any]) -> list[int]:
    result = OcrResult.model_validate_json(deployment.storage.objects[answer["data"]["result_key"]])
    return [page.number for page in result.pages]


async def messages_in(rabbitmq_url: str, queue: str) -> int:
    async with await aio_pika.connect(rabbitmq_url) as connection:
        declared = await (await connection.channel()).declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


async def test_a_book_is_read_slice_by_slice_and_answered_once(deployment: Deployment, rabbitmq_url: str) -> None:
    engine = CuedEngine(hangs_before=5)
    async with (
        listening(rabbitmq_url, "ocr.events") as heard,
        deployment.process(engine, slice_seconds=SHORT_SLICE),
    ):
        await publish(rabbitmq_url, await deployment.request())
        # A second slice has begun, and it hangs at the same page.
        await eventually(lambda: engine.hung >= 2, LONG)
        engine.hangs_before = 0
        await eventually(lambda: answers(heard), LONG)

    [answer] = answers(heard)
    assert answer["type"] == "DOCUMENT_OCR_COMPLETED"
    assert pages_of(deployment, answer) == list(range(1, PAGES + 1))
    assert set(engine.read.values()) == {1}
    assert deployment.kept() == []
    assert await messages_in(rabbitmq_url, OCR_QUEUE) == 0


async def test_what_a_stopped_process_hands_back_goes_on_in_the_next(deployment: Deployment, rabbitmq_url: str) -> None:
    first, second = CuedEngine(hangs_before=6), CuedEngine()
    async with listening(rabbitmq_url, "ocr.events") as heard:
        async with deployment.process(first, drain_seconds=0.1):
            await publish(rabbitmq_url, await deployment.request())
            await eventually(lambda: first.hung, LONG)
        assert answers(heard) == []

        async with deployment.process(second):
            await eventually(lambda: answers(heard), LONG)

    [answer] = answers(heard)
    assert pages_of(deployment, answer) == list(range(1, PAGES + 1))
    assert sorted(second.read) == [6, 7, 8, 9]
    assert deployment.kept() == []


async def test_two_messages_of_one_request_are_one_answer(deployment: Deployment, rabbitmq_url: str) -> None:
    """As after a crash between the copy that hands work on and the acknowledgement of the original."""
    one, other = CuedEngine(hangs_before=6), CuedEngine(hangs_before=6)
    request = await deployment.request()
    async with (
        listening(rabbitmq_url, "ocr.events") as heard,
        deployment.process(one, slice_seconds=SHORT_SLICE),
        deployment.process(other, slice_seconds=SHORT_SLICE),
    ):
        await publish(rabbitmq_url, request)
        await publish(rabbitmq_url, request)
        await eventually(lambda: one.hung and other.hung, LONG)
        one.hangs_before = other.hangs_before = 0
        await eventually(lambda: len(answers(heard)) == 2, LONG)

    first, second = answers(heard)
    assert first["id"] == second["id"]
    assert first["data"]["result_sha256"] == second["data"]["result_sha256"]
    assert pages_of(deployment, first) == list(range(1, PAGES + 1))
