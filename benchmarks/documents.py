"""How well and how fast documents are read."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

import pypdfium2

from alta_common.testing.texts import order_free_cer
from figures import Cost, Figure, cost_of, cpu_seconds_of, in_turn, note, own_cpu_seconds
from inputs import Input, born_digital, long_pdf, scan, turned
from readers import Ours, Reader, Reading, others, ours

DIGITAL_PAGES = 600
SCANNED_PAGES = 10


@dataclass
class Score:
    """How one reader did on the pages."""

    errors: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    @property
    def mean_errors(self) -> float:
        """The mean share of characters that are wrong, wherever the lines stand."""
        return mean(self.errors)

    @property
    def mean_cpu_seconds(self) -> float:
        """The mean CPU time of a page."""
        return mean(self.cpu_seconds)


async def beside_others(pages: list[Input], rounds: int) -> list[Figure]:
    """Measure errors and CPU time a page, beside those of what people would use instead."""
    async with ours(workers=1) as reader:
        await reader.read(pages[0].path)
        readers: list[Reader] = [reader, *others(pages[0].path)]
        scores = {reader.name: Score() for reader in readers}
        for page in pages:
            await _read_in_turn(readers, page, rounds, scores)
    own = scores.pop(reader.name)
    return [
        figure
        for name, score in scores.items()
        for figure in (
            Figure(f"documents.cer_beside_{name}", own.mean_errors, "share of characters", score.mean_errors),
            Figure(f"documents.cpu_beside_{name}", own.mean_cpu_seconds, "CPU s/page", score.mean_cpu_seconds),
        )
    ]


async def _read_in_turn(readers: list[Reader], page: Input, rounds: int, scores: dict[str, Score]) -> None:
    readings: dict[str, list[Reading]] = {reader.name: [] for reader in readers}
    for number in range(rounds):
        for reader in readers:
            if number == 0 or not reader.is_slow:
                readings[reader.name].append(await reader.read(page.path))
    said = []
    for reader in readers:
        errors = order_free_cer(page.truth, readings[reader.name][0].text)
        seconds = median(reading.cpu_seconds for reading in readings[reader.name])
        scores[reader.name].errors.append(errors)
        scores[reader.name].cpu_seconds.append(seconds)
        said.append(f"{reader.name} {errors:6.2%} {seconds:5.2f} CPU s")
    note(f"{page.name:45} {'   '.join(said)}")


async def turned_pages(pages: list[Input], folder: Path) -> AsyncIterator[Figure]:
    """Measure the errors on copies that lie on one side, on their head, on the other side, beside the upright pages."""
    async with ours(workers=2) as reader:
        upright = await _errors(reader, pages)
        for degrees in (90, 180, 270):
            lying = await _errors(reader, [turned(page, degrees, folder) for page in pages])
            yield Figure(f"documents.cer_turned_by_{degrees}", lying, "share of characters", upright)


async def _errors(reader: Ours, pages: list[Input]) -> float:
    readings = await asyncio.gather(*(reader.document(page.path) for page in pages))
    errors = [order_free_cer(page.truth, reading.text) for page, reading in zip(pages, readings, strict=True)]
    for page, share in zip(pages, errors, strict=True):
        note(f"{page.name:60} {share:6.2%}")
    return mean(errors)


async def digital_pages(rounds: int, folder: Path) -> list[Figure]:
    """Measure pages a second of a long born-digital PDF, and the CPU time a page, beside a bare loop over its text."""
    path = long_pdf(folder / "born-digital.pdf", born_digital(), DIGITAL_PAGES)
    async with ours(workers=2) as reader:
        adapter, bare = await in_turn(
            rounds,
            lambda: cost_of(reader.document(path), lambda: cpu_seconds_of(reader.pids) + own_cpu_seconds()),
            lambda: cost_of(_bare_text(path), own_cpu_seconds),
        )
    return _pages_and_cpu("born_digital", DIGITAL_PAGES, adapter, bare)


async def _bare_text(path: Path) -> None:
    with pypdfium2.PdfDocument(path) as document:
        for page in document:
            page.get_textpage().get_text_range()


async def two_workers(pages: list[Input], rounds: int, folder: Path) -> list[Figure]:
    """Measure pages a second of one scanned document with two workers, and the CPU time a page, beside one worker.

    Where the second is the same, two workers are twice as fast on two cores that have nothing else to do.
    """
    path = scan(folder / "scan.pdf", (pages * SCANNED_PAGES)[:SCANNED_PAGES])
    async with ours(workers=2) as two, ours(workers=1) as one:
        for reader in (two, one):
            await reader.document(path)
        both, alone = await in_turn(
            rounds,
            lambda: cost_of(two.document(path), lambda: cpu_seconds_of(two.pids)),
            lambda: cost_of(one.document(path), lambda: cpu_seconds_of(one.pids)),
        )
    return _pages_and_cpu("two_workers", SCANNED_PAGES, both, alone)


def _pages_and_cpu(name: str, pages: int, cost: Cost, reference: Cost) -> list[Figure]:
    return [
        Figure(f"documents.{name}", pages / cost.seconds, "pages/s", pages / reference.seconds),
        Figure(
            f"documents.{name}_cpu",
            cost.cpu_seconds / pages * 1000,
            "CPU ms/page",
            reference.cpu_seconds / pages * 1000,
        ),
    ]
