"""Who reads pages: our adapter, and what people would use instead, each as it comes."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from alta_common.engines.port import SourceFile
from alta_common.workers.pool import WorkerPool
from alta_ocr.engines.engine import DocumentReading, OcrOptions
from alta_ocr.engines.local import LocalEngine
from alta_ocr.settings import OcrSettings
from alta_ocr.worker import create_local_engine, create_pool
from alta_stack.settings import environment
from figures import cpu_seconds_of, ended_cpu_seconds, note, own_cpu_seconds


@dataclass(frozen=True)
class Reading:
    """What somebody read on a page, and the CPU time that it took."""

    text: str
    cpu_seconds: float


class Reader(Protocol):
    """Reads the picture of a page."""

    name: str
    is_slow: bool
    """It reads each page once only."""

    async def read(self, path: Path) -> Reading:
        """Return what the page says."""
        ...


class Ours:
    """The adapter of the ocr service over its pool of worker processes, as the service runs it."""

    name = "alta"
    is_slow = False

    def __init__(self, pool: WorkerPool, engine: LocalEngine) -> None:
        self._pool = pool
        self._engine = engine

    @property
    def pids(self) -> list[int]:
        """Its worker processes."""
        return self._pool.pids

    async def document(self, path: Path) -> DocumentReading:
        """Return what a document says."""
        source = SourceFile(path, "application/octet-stream")
        return await self._engine.recognize(source, OcrOptions(), lambda _done, _total: None)

    async def read(self, path: Path) -> Reading:
        """Return what the page says; the CPU time is that of the workers."""
        began = cpu_seconds_of(self.pids)
        reading = await self.document(path)
        return Reading(reading.text, cpu_seconds_of(self.pids) - began)


@asynccontextmanager
async def ours(workers: int) -> AsyncIterator[Ours]:
    """Run our engine in so many workers, which are warm and not replaced meanwhile."""
    settings = OcrSettings(rabbitmq_url="amqp://unused", ocr_workers=workers, ocr_worker_recycle_pages=1_000_000)
    pool = create_pool(settings)
    await pool.start()
    try:
        yield Ours(pool, create_local_engine(settings, pool))
    finally:
        await pool.close()


class RapidDefaults:
    """RapidOCR, which carries the same models, as its README runs it."""

    name = "rapidocr"
    is_slow = True

    def __init__(self, warm_up: Path) -> None:
        from rapidocr import RapidOCR

        self._engine = RapidOCR(params={"Global.log_level": "critical"})
        self._engine(str(warm_up))

    async def read(self, path: Path) -> Reading:
        """Return what the page says."""
        began = own_cpu_seconds()
        found: Any = self._engine(str(path))
        return Reading("\n".join(found.txts or ()), own_cpu_seconds() - began)


class Tesseract:
    """Debian's Tesseract. By default it reads a page with several threads, which mostly wait for each other."""

    def __init__(self, threads: int | None = None) -> None:
        self.name = "tesseract_on_one_thread" if threads == 1 else "tesseract"
        self.is_slow = threads is None
        self._limit = {"OMP_THREAD_LIMIT": str(threads)} if threads else {}

    async def read(self, path: Path) -> Reading:
        """Return what the page says."""
        began = ended_cpu_seconds()
        argv = ["tesseract", str(path), "stdout"]
        run = partial(subprocess.run, argv, env=environment() | self._limit, capture_output=True, check=True, text=True)
        done = await asyncio.to_thread(run)
        return Reading(done.stdout, ended_cpu_seconds() - began)


def others(warm_up: Path) -> list[Reader]:
    """Return those to compare with, as far as they are here."""
    found: list[Reader] = [RapidDefaults(warm_up)]
    if has_tesseract():
        found += [Tesseract(), Tesseract(threads=1)]
    else:
        note("Tesseract's figures are left out: it is not here (apt-get install tesseract-ocr).")
    return found


def has_tesseract() -> bool:
    """Say whether Tesseract is here, after installing it where that is allowed."""
    if not shutil.which("tesseract") and os.geteuid() == 0 and shutil.which("apt-get"):
        note("Installing Tesseract, to compare with.")
        variables = {**environment(), "DEBIAN_FRONTEND": "noninteractive"}
        for argv in (
            ["apt-get", "update"],
            ["apt-get", "install", "--yes", "--no-install-recommends", "tesseract-ocr"],
        ):
            subprocess.run(argv, env=variables, capture_output=True, check=False)
    return shutil.which("tesseract") is not None
