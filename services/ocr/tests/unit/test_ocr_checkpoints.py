"""A document whose reading was stopped in the middle goes on from what was kept."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alta_common.contracts.results import EngineInfo, Page
from alta_common.engines.checkpoints import StoredCheckpoint
from alta_common.engines.port import SourceFile
from alta_common.ids import new_id
from alta_common.testing.storage import MemoryObjectStorage
from alta_common.workers.pool import ignore
from alta_common.workers.wire import Task
from alta_ocr.engines.engine import DocumentReading, OcrOptions, PageReading
from alta_ocr.engines.limits import DocumentLimits
from alta_ocr.engines.local import LocalConfig, LocalEngine
from alta_ocr.engines.plan import Plan

PAGES = 40


class Workers:
    """Read page after page, of an engine of some `version`; from page `stuck_at` on they never end."""

    def __init__(self, *, version: str = "1", stuck_at: int = PAGES + 1) -> None:
        ocr, text = EngineInfo(name="rapidocr", version=version), EngineInfo(name="pdf-text", version="1")
        self._plan = Plan("application/pdf", PAGES, ocr, text)
        self._stuck_at = stuck_at
        self.read: Counter[int] = Counter()
        self.stuck = asyncio.Event()

    async def run(
        self,
        task: Task,
        *,
        on_progress: Callable[[Any], None] = ignore,
        **_limits: float | None,
    ) -> Any:
        if task.function.endswith(":inspect"):
            return self._plan
        for number in task.kwargs["numbers"]:
            if number >= self._stuck_at:
                self.stuck.set()
                await asyncio.Event().wait()
            self.read[number] += 1
            page = Page(number=number, width=1, height=1, source="ocr", confidence=None, lines=[])
            on_progress(PageReading.of(page, 0.1))
            await asyncio.sleep(0)
        return None

    async def check(self) -> None: ...


@pytest.fixture
def checkpoint() -> StoredCheckpoint:
    """A checkpoint in memory."""
    return StoredCheckpoint(MemoryObjectStorage(), new_id(), new_id())


async def recognize(
    workers: Workers, checkpoint: StoredCheckpoint, steps: list[int] | None = None, keep_every_seconds: float = 0.0
) -> DocumentReading:
    engine = LocalEngine(workers, LocalConfig(2, 60.0, DocumentLimits(), keep_every_seconds=keep_every_seconds))
    heard = [] if steps is None else steps
    options = OcrOptions(checkpoint=checkpoint.of("local"))
    return await engine.recognize(SourceFile(Path("x"), "application/pdf"), options, lambda done, _: heard.append(done))


async def stopped_at(page: int, checkpoint: StoredCheckpoint, version: str = "1") -> Workers:
    workers = Workers(version=version, stuck_at=page)
    reading = asyncio.create_task(recognize(workers, checkpoint))
    await workers.stuck.wait()
    # All that can be read until then is read and kept before the document is stopped.
    for _ in range(50):
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    return workers


async def test_only_what_was_not_kept_is_read_again(checkpoint: StoredCheckpoint) -> None:
    before, after, steps = await stopped_at(25, checkpoint), Workers(), []

    reading = await recognize(after, checkpoint, steps)

    kept = PAGES - len(after.read)
    assert [page.number for page in reading.pages] == list(range(1, PAGES + 1))
    assert 10 <= kept <= 24
    assert set(range(1, PAGES + 1)) - set(before.read) <= set(after.read)
    assert set(after.read.values()) == {1}
    assert steps == list(range(kept, PAGES + 1))


async def test_a_kept_page_is_the_page_that_was_read(checkpoint: StoredCheckpoint) -> None:
    whole = await recognize(Workers(), StoredCheckpoint(MemoryObjectStorage(), new_id(), new_id()))
    await stopped_at(25, checkpoint)

    resumed = await recognize(Workers(), checkpoint)

    assert [page.content for page in resumed.pages] == [page.content for page in whole.pages]


async def test_what_another_version_has_read_is_not_mixed_in(checkpoint: StoredCheckpoint) -> None:
    await stopped_at(25, checkpoint, version="1")
    workers = Workers(version="2")

    await recognize(workers, checkpoint)

    assert len(workers.read) == PAGES


async def test_what_cannot_be_understood_is_read_again(checkpoint: StoredCheckpoint) -> None:
    await stopped_at(25, checkpoint)
    for name in await checkpoint.of("local").load():
        await checkpoint.of("local").save(name, b"{cut o")
    workers = Workers()

    reading = await recognize(workers, checkpoint)

    assert len(workers.read) == len(reading.pages) == PAGES


async def test_a_short_work_keeps_nothing() -> None:
    storage = MemoryObjectStorage()

    await recognize(Workers(), StoredCheckpoint(storage, new_id(), new_id()), keep_every_seconds=60.0)

    assert storage.objects == {}
