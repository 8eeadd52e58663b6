"""How well, how fast and with how much memory documents and recordings are read, beside what people would use instead.

Prints one JSON line a figure: {"benchmark", "value", "unit", "reference", "ratio"}; what else there is to say goes to
stderr. References come from the same run, measured in turn with the values. Speed is in CPU seconds wherever it can be:
they depend little on what else the machine does.

    python benchmarks/engines.py [--quick] [--only documents|speech|memory …]
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import documents
import memory
import speech
from figures import Figure, note, show
from inputs import recordings, scanned_pages

GROUPS = ("documents", "speech", "memory")


async def of_documents(folder: Path, *, quick: bool) -> AsyncIterator[Figure]:
    """Measure accuracy, speed and how they scale."""
    pages = scanned_pages(folder)
    rounds = 1 if quick else 2
    for figure in await documents.beside_others(pages, rounds):
        yield figure
    async for figure in documents.turned_pages(pages, folder):
        yield figure
    for figure in await documents.digital_pages(1 if quick else 3, folder):
        yield figure
    for figure in await documents.two_workers(pages, rounds, folder):
        yield figure


async def of_speech(_folder: Path, *, quick: bool) -> AsyncIterator[Figure]:
    """Measure accuracy and speed."""
    for figure in await speech.beside_defaults(recordings(), 1 if quick else 2):
        yield figure


async def of_memory(folder: Path, *, quick: bool) -> AsyncIterator[Figure]:
    """Measure peaks."""
    yield await memory.of_documents(scanned_pages(folder), folder)
    yield await memory.of_recordings(recordings()[0], 1 if quick else 10, folder)


async def measure(groups: list[str], *, quick: bool) -> None:
    """Measure the groups of figures that were asked for."""
    begun = time.monotonic()
    table = {"documents": of_documents, "speech": of_speech, "memory": of_memory}
    with tempfile.TemporaryDirectory(prefix="alta-bench-") as name:
        for group in groups:
            async for figure in table[group](Path(name), quick=quick):
                show([figure])
                note(f"({time.monotonic() - begun:.0f} s)")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure the engines.")
    parser.add_argument("--quick", action="store_true", help="one round of each, one hour of sound instead of ten")
    parser.add_argument("--only", choices=GROUPS, action="append", help="measure this group; may be repeated")
    options = parser.parse_args()
    asyncio.run(measure(options.only or list(GROUPS), quick=options.quick))


if __name__ == "__main__":
    main()
