"""How fast uploads are accepted and read through the whole system, beside the engines' own time for the same files.

Prints one JSON line a figure: {"benchmark", "value", "unit", "reference", "ratio"}. References come from the same run:
for reading, the engine alone in as many worker processes as the system's service has; for accepting, the projects
service asked directly, without the gateway.

    python benchmarks/journey.py [--quick]
"""

import argparse
import asyncio
import statistics
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from alta_ocr.settings import OcrSettings
from alta_stack.beside import stack_beside
from alta_stack.client import AltaClient, Item, Kind
from alta_stack.stack_file import Stack, get_stack
from alta_transcription.settings import TranscriptionSettings
from figures import Figure, at_once, cost_of, cpu_seconds_of, cpu_seconds_of_family, in_turn, show, timed
from inputs import SAMPLES
from readers import ours
from speech import listener

SINGLE = 12
BATCH = 24
ACCEPTED = 200
AT_ONCE = 8


@dataclass(frozen=True)
class Work:
    """A sample, and the engine alone that reads it in as many workers as the system has."""

    kind: Kind
    sample: Path
    workers: int
    read: Callable[[], Awaitable[object]]
    cpu_seconds: Callable[[], float]


class System:
    """The whole system, asked through its gateway as one user."""

    def __init__(self, client: AltaClient, project_id: str, supervisor_pid: int) -> None:
        self.client = client
        self.project_id = project_id
        self._supervisor_pid = supervisor_pid

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its processes, PostgreSQL, RabbitMQ and Redis among them."""
        return cpu_seconds_of_family(self._supervisor_pid)

    async def upload(self, work: Work) -> Item:
        """Upload the sample once more."""
        return await self.client.upload(self.project_id, work.sample, work.kind, duplicate=True)

    async def read(self, work: Work) -> None:
        """Upload the sample and wait for its text."""
        item = await self.client.wait_for(await self.upload(work))
        if item.status != "completed":
            raise RuntimeError(f"the sample was not read: {item.data['error']}")


async def singles(system: System, work: Work) -> list[Figure]:
    """Measure one upload after the other, the engine and the system in turn."""
    alone: list[float] = []
    through: list[float] = []
    for _ in range(SINGLE):
        alone.append(await timed(work.read()))
        through.append(await timed(system.read(work)))
    p95 = statistics.quantiles(through, n=20, method="inclusive")[-1]
    alone_p95 = statistics.quantiles(alone, n=20, method="inclusive")[-1]
    return [
        Figure("journey.upload_to_result_p50", statistics.median(through), "s", statistics.median(alone)),
        Figure("journey.upload_to_result_p95", p95, "s", alone_p95),
    ]


async def batch(system: System, work: Work, rounds: int) -> list[Figure]:
    """Measure a batch: files a second and CPU time a file, by the engine with the same workers and through the system.

    The second bounds the first: all that the system does shares the cores with the engine.
    """
    alone, through = await in_turn(
        rounds,
        lambda: cost_of(at_once(BATCH, work.workers, lambda _: work.read()), work.cpu_seconds),
        lambda: cost_of(at_once(BATCH, BATCH, lambda _: system.read(work)), system.cpu_seconds),
    )
    name = work.kind.replace("-", "_")
    return [
        Figure(f"journey.batch_of_{name}", BATCH / through.seconds, "files/s", BATCH / alone.seconds),
        Figure(f"journey.cpu_of_{name}", through.cpu_seconds / BATCH, "CPU s/file", alone.cpu_seconds / BATCH),
    ]


async def accepting(stack: Stack, system: System, small: bytes) -> Figure:
    """Measure accepted uploads a second of a small file, through the gateway and at the projects service itself."""
    headers = await system.client.authorization()

    async def post(base: str, number: int) -> None:
        # Different bytes each time: equal ones would be the same document.
        files = {"file": ("small.png", small + str((base, number)).encode(), "image/png")}
        url = f"{base}/v1/projects/{system.project_id}/documents"
        (await system.client.http.post(url, files=files, headers=headers)).raise_for_status()

    direct_url = stack["services"]["projects"]["url"]
    direct = await at_once(ACCEPTED, AT_ONCE, lambda number: post(direct_url, number))
    through = await at_once(ACCEPTED, AT_ONCE, lambda number: post(stack["gateway"], number))
    return Figure("journey.accepted", ACCEPTED / through, "uploads/s", ACCEPTED / direct)


async def measure(stack: Stack, rounds: int) -> None:
    """Measure everything on a running stack and print it."""
    async with AsyncExitStack() as running:
        pages, speech = OcrSettings.model_fields["ocr_workers"], TranscriptionSettings.model_fields
        page_workers = int(pages.get_default(call_default_factory=True))
        speech_workers = int(speech["transcription_workers"].get_default(call_default_factory=True))
        reader = await running.enter_async_context(ours(page_workers))
        hearer = await running.enter_async_context(listener(speech_workers))
        photo, note = SAMPLES / "invoice-photo.jpg", SAMPLES / "site-visit-note.wav"
        document = Work(
            Kind.DOCUMENT, photo, page_workers, lambda: reader.document(photo), lambda: cpu_seconds_of(reader.pids)
        )
        recording = Work(
            Kind.VOICE_SAMPLE, note, speech_workers, lambda: hearer.hear(note), lambda: cpu_seconds_of(hearer.pids)
        )
        client = await running.enter_async_context(AltaClient(stack["gateway"], stack["mail"]))
        await client.register_and_sign_in()
        project = await client.create_project("Benchmark")
        system = System(client, project["id"], stack["supervisor_pid"])
        for work in (document, recording):
            await system.read(work)
        show(await singles(system, document))
        for work in (document, recording):
            show(await batch(system, work, rounds))
        show([await accepting(stack, system, small_image())])


def small_image() -> bytes:
    """Return a page image of a few hundred bytes."""
    buffer = BytesIO()
    Image.new("1", (64, 64), 1).save(buffer, "PNG")
    return buffer.getvalue()


def main() -> None:
    """Start a stack of its own, measure, and leave nothing behind."""
    parser = argparse.ArgumentParser(description="Measure the whole system.")
    parser.add_argument("--quick", action="store_true", help="one round of each")
    rounds = 1 if parser.parse_args().quick else 2
    # Not how often one user may ask, but how fast it goes is measured.
    with stack_beside("bench", LIMITS_FACTOR="1000") as home:
        asyncio.run(measure(get_stack(home), rounds))


if __name__ == "__main__":
    main()
