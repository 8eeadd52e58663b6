"""How fast uploads are accepted and read through the whole system, beside the engine's own time for the same files.

Prints one JSON line a figure: {"benchmark", "value", "unit", "reference", "ratio"}. References come from the same run:
for reading, the engine alone in as many worker processes as the system's ocr service has; for accepting, the projects
service asked directly, without the gateway.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from alta_common.engines.port import SourceFile
from alta_common.workers.pool import WorkerPool
from alta_ocr.engines.engine import OcrOptions
from alta_ocr.engines.local import LocalEngine
from alta_ocr.settings import OcrSettings
from alta_ocr.worker import create_local_engine, create_pool
from alta_stack.beside import stack_beside
from alta_stack.client import AltaClient, Item
from alta_stack.settings import CHECKOUT
from alta_stack.stack_file import Stack, get_stack

SAMPLE = CHECKOUT / "samples" / "invoice-photo.jpg"
SINGLE = 12
BATCH = 24
ACCEPTED = 200
AT_ONCE = 8


@dataclass(frozen=True)
class Figure:
    """A measured value beside its reference."""

    benchmark: str
    value: float
    unit: str
    reference: float

    def line(self) -> str:
        """Return the figure as one JSON line."""
        rounded = {"value": round(self.value, 3), "unit": self.unit, "reference": round(self.reference, 3)}
        return json.dumps({"benchmark": self.benchmark, **rounded, "ratio": round(self.value / self.reference, 3)})


async def timed(work: Awaitable[object]) -> float:
    """Return how many seconds `work` took."""
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def at_once(count: int, limit: int, work: Callable[[int], Awaitable[object]]) -> float:
    """Return the seconds that `count` pieces of work took, `limit` at a time."""
    places = asyncio.Semaphore(limit)

    async def one(number: int) -> None:
        async with places:
            await work(number)

    return await timed(asyncio.gather(*(one(number) for number in range(count))))


class Engine:
    """The engine alone, in worker processes of its own."""

    def __init__(self) -> None:
        settings = OcrSettings(rabbitmq_url="amqp://unused")
        self.workers = settings.ocr_workers
        self._pool: WorkerPool = create_pool(settings)
        self._engine: LocalEngine = create_local_engine(settings, self._pool)

    async def read(self, _: int = 0) -> None:
        """Read the sample once."""
        source = SourceFile(SAMPLE, "image/jpeg")
        await self._engine.recognize(source, OcrOptions(), lambda _done, _total: None)

    async def start(self) -> None:
        """Start and warm the workers."""
        await self._pool.start()

    async def stop(self) -> None:
        """End the workers."""
        await self._pool.close()


class System:
    """The whole system, asked through its gateway as one user."""

    def __init__(self, client: AltaClient, project_id: str) -> None:
        self.client = client
        self.project_id = project_id

    async def upload(self) -> Item:
        """Upload the sample once more."""
        return await self.client.upload(self.project_id, SAMPLE, duplicate=True)

    async def read(self, _: int = 0) -> None:
        """Upload the sample and wait for its text."""
        item = await self.client.wait_for(await self.upload())
        if item.status != "completed":
            raise RuntimeError(f"the sample was not read: {item.data['error']}")


async def singles(system: System, engine: Engine) -> list[Figure]:
    """Measure one document after the other, the engine and the system in turn."""
    alone: list[float] = []
    through: list[float] = []
    for _ in range(SINGLE):
        alone.append(await timed(engine.read()))
        through.append(await timed(system.read()))
    p95 = statistics.quantiles(through, n=20, method="inclusive")[-1]
    alone_p95 = statistics.quantiles(alone, n=20, method="inclusive")[-1]
    return [
        Figure("journey.upload_to_result_p50", statistics.median(through), "s", statistics.median(alone)),
        Figure("journey.upload_to_result_p95", p95, "s", alone_p95),
    ]


async def batch(system: System, engine: Engine) -> Figure:
    """Measure a batch: documents a second through the system, and by the engine with the same workers."""
    alone = await at_once(BATCH, engine.workers, engine.read)
    through = await at_once(BATCH, BATCH, system.read)
    return Figure("journey.batch_throughput", BATCH / through, "documents/s", BATCH / alone)


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


async def measure(stack: Stack, small: bytes) -> None:
    """Measure everything on a running stack and print it."""
    engine = Engine()
    await engine.start()
    try:
        async with AltaClient(stack["gateway"], stack["mail"]) as client:
            await client.register_and_sign_in()
            system = System(client, (await client.create_project("Benchmark"))["id"])
            await system.read()
            for figure in [*await singles(system, engine), await batch(system, engine)]:
                print(figure.line(), flush=True)
            print((await accepting(stack, system, small)).line(), flush=True)
    finally:
        await engine.stop()


def small_image() -> bytes:
    """Return a page image of a few hundred bytes."""
    buffer = BytesIO()
    Image.new("1", (64, 64), 1).save(buffer, "PNG")
    return buffer.getvalue()


def main() -> None:
    """Start a stack of its own, measure, and leave nothing behind."""
    # Not how often one user may ask, but how fast it goes is measured.
    with stack_beside("bench", LIMITS_FACTOR="1000") as home:
        asyncio.run(measure(get_stack(home), small_image()))


if __name__ == "__main__":
    main()
