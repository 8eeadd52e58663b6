"""How well, how fast and with how much memory documents and recordings are read, beside what people would use instead.

Prints one JSON line a figure: {"benchmark", "value", "unit", "reference", "ratio"}; what else there is to say goes to
stderr. References come from the same run, measured in turn with the values. Speed is in CPU seconds wherever it can be:
they depend little on what else the machine does.

    python benchmarks/engines.py [--quick] [--only documents|speech|memory …] [--speech-minutes 600]
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import documents
import memory
import speech
from figures import Figure, note, show
from inputs import recordings, scanned_pages

GROUPS = ("documents", "speech", "memory")


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    quick: bool
    speech_minutes: float


async def of_documents(folder: Path, extent: Extent) -> AsyncIterator[Figure]:
    """Measure accuracy, speed and how they scale."""
    pages = scanned_pages(folder)
    rounds = 1 if extent.quick else 2
    for figure in await documents.beside_others(pages, rounds):
        yield figure
    async for figure in documents.turned_pages(pages, folder):
        yield figure
    for figure in await documents.digital_pages(1 if extent.quick else 3, folder):
        yield figure
    for figure in await documents.two_workers(pages, rounds, folder):
        yield figure


async def of_speech(_folder: Path, extent: Extent) -> AsyncIterator[Figure]:
    """Measure accuracy and speed."""
    for figure in await speech.beside_defaults(recordings(), 1 if extent.quick else 2):
        yield figure


async def of_memory(folder: Path, extent: Extent) -> AsyncIterator[Figure]:
    """Measure peaks."""
    yield await memory.of_documents(scanned_pages(folder), folder)
    for figure in await memory.of_recordings(recordings(), 1 if extent.quick else 10, extent.speech_minutes, folder):
        yield figure


async def measure(groups: list[str], extent: Extent) -> None:
    """Measure the groups of figures that were asked for."""
    begun = time.monotonic()
    table = {"documents": of_documents, "speech": of_speech, "memory": of_memory}
    with tempfile.TemporaryDirectory(prefix="alta-bench-") as name:
        for group in groups:
            async for figure in table[group](Path(name), extent):
                show([figure])
                note(f"({time.monotonic() - begun:.0f} s)")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure the engines.")
    parser.add_argument("--quick", action="store_true", help="one round of each, one hour of sound instead of ten")
    parser.add_argument("--only", choices=GROUPS, action="append", help="measure this group; may be repeated")
    parser.add_argument(
        "--speech-minutes", type=float, default=10.0, help="length of the recording that is speech throughout"
    )
    options = parser.parse_args()
    asyncio.run(measure(options.only or list(GROUPS), Extent(options.quick, options.speech_minutes)))


if __name__ == "__main__":
    main()
