"""A document while it is read: which pages are done, which are being read, what is kept of it."""

import asyncio
import time
from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from alta_common.contracts.results import Page
from alta_common.engines.checkpoints import Checkpoint
from alta_common.telemetry.metrics import engine_seconds_per_unit, exemplar
from alta_ocr import metrics
from alta_ocr.engines.engine import PageReading, Progress, config_hash
from alta_ocr.engines.plan import Document, Plan

log = structlog.get_logger()

_MOST_PAGES = 100


@dataclass(frozen=True)
class JobOptions:
    """How a document's pages are shared out and kept."""

    workers: int
    checkpoint: Checkpoint
    keep_every_seconds: float


class Job:
    """The pages of a document; `progress` hears of each that is done."""

    def __init__(self, document: Document, plan: Plan, options: JobOptions, progress: Progress) -> None:
        self.document = document
        self.plan = plan
        self.pages: dict[int, PageReading] = {}
        self._checkpoint = options.checkpoint
        self._keep_every = options.keep_every_seconds
        self._workers = options.workers
        self._progress = progress
        self._unclaimed = list(range(plan.pages, 0, -1))
        self._kept: set[int] = set()
        self._kept_at = time.monotonic()

    async def resume(self) -> None:
        """Begin from what an earlier delivery of the request has kept."""
        if self.plan.pages > 1:
            parts = await self._checkpoint.load()
            mine = [content for name, content in parts.items() if name.startswith(self._part_prefix)]
            for page in await asyncio.to_thread(_restored, mine):
                self.pages[page.number] = page
        self._kept = set(self.pages)
        self._unclaimed = [number for number in self._unclaimed if number not in self.pages]
        self._progress(len(self.pages), self.plan.pages)

    def claim(self) -> range:
        """Return pages for one turn, in a row: none when all are done or being read."""
        if not self._unclaimed:
            return range(0)
        # Ever fewer, so that all workers are done at about the same time.
        size = min(_MOST_PAGES, -(-len(self._unclaimed) // (2 * self._workers)))
        first = last = self._unclaimed.pop()
        while self._unclaimed and self._unclaimed[-1] == last + 1 and last + 1 - first < size:
            last = self._unclaimed.pop()
        return range(first, last + 1)

    def give_back(self, numbers: range) -> None:
        """Leave to a later turn what this one had no time for."""
        self._unclaimed = sorted([*self._unclaimed, *numbers], reverse=True)

    def take(self, page: PageReading) -> None:
        """Take a page that a worker has just read."""
        self.pages[page.number] = page
        engine = self.plan.ocr if page.source == "ocr" else self.plan.text_layer
        engine_seconds_per_unit.labels(engine.name).observe(page.seconds, exemplar())
        metrics.pages.labels(page.source).inc()
        self._progress(len(self.pages), self.plan.pages)

    def first_unread(self, numbers: range) -> int:
        """Return the first of `numbers` that is still to be read, or the end of the range."""
        return next((number for number in numbers if number not in self.pages), numbers.stop)

    async def keep(self) -> None:
        """Keep what is done, when that is more than a little: reading it again would take longer than keeping it."""
        if time.monotonic() - self._kept_at < self._keep_every:
            return
        self._kept_at = time.monotonic()
        fresh = [self.pages[number] for number in sorted(self.pages.keys() - self._kept)]
        if fresh and len(self.pages) < self.plan.pages:
            self._kept.update(page.number for page in fresh)
            name = f"{self._part_prefix}{fresh[0].number}-{fresh[-1].number}"
            await self._checkpoint.save(name, b"\n".join(page.content for page in fresh))

    @property
    def _part_prefix(self) -> str:
        # What another version or configuration has read is not mixed in.
        return config_hash({"ocr": self.plan.ocr.model_dump(), "text": self.plan.text_layer.model_dump()})[:12] + "-"


def _restored(parts: list[bytes]) -> list[PageReading]:
    try:
        return [PageReading.of(Page.model_validate_json(line), 0.0) for part in parts for line in part.split(b"\n")]
    except ValidationError as error:
        log.warning("checkpoint.unusable", error=str(error)[:200])
        return []
