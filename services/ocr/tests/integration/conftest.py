"""Google Document AI on this machine, with a reader behind it that says what the tests expect."""

import io
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import pytest_asyncio
from google.cloud import documentai_v1 as documentai
from PIL import Image

from alta_common.contracts.results import Line, Page, Word
from alta_common.engines.google.calls import Patience, create_limiter
from alta_common.engines.google.connection import Connection, create_client
from alta_common.engines.port import SourceFile
from alta_common.settings import StorageSettings
from alta_common.storage import gcs
from alta_common.storage.gcs import GcsObjectStorage
from alta_common.testing.gcs import gcs_emulator
from alta_common.workers.pool import WorkerPool
from alta_emulators.cloud_storage import CloudStorage
from alta_emulators.documents import DocumentBackend, DocumentService
from alta_emulators.documents import DocumentLimits as GoogleLimits
from alta_emulators.faults import Faults
from alta_emulators.operations import Operations
from alta_emulators.server import EmulatorServer
from alta_emulators.shapes import document_of
from alta_ocr.engines.documentai import DocumentAiEngine
from alta_ocr.engines.documentai_api import DocumentAiApi
from alta_ocr.engines.documentai_config import DocumentAiConfig, processor_name
from alta_ocr.engines.engine import DocumentReading, OcrOptions
from alta_ocr.engines.limits import DocumentLimits

BUCKET = "alta-documents"

PATIENT = Patience(
    attempt_seconds=60,
    total_seconds=60,
    first_pause_seconds=0.01,
    longest_pause_seconds=0.01,
    first_poll_seconds=0.01,
    longest_poll_seconds=0.1,
)
"""Attempts are given up only where a test waits for that."""


class Copyist:
    """Says what stands in a PDF's text layer; of a picture, how large it is. As sure of it as `confidence` says."""

    def __init__(self, confidence: float | None = 0.9) -> None:
        self._confidence = confidence

    async def read(self, content: bytes, media_type: str) -> documentai.Document:
        texts = _of_pdf(content) if media_type == "application/pdf" else _of_picture(content)
        return document_of([self._page(number, text) for number, text in enumerate(texts, start=1)], "en")

    def _page(self, number: int, text: str) -> Page:
        lines = [
            Line(
                text=line,
                confidence=self._confidence,
                box=(0.1, 0.1, 0.9, 0.2),
                words=[Word(text=word, confidence=self._confidence, box=(0.1, 0.1, 0.2, 0.2)) for word in line.split()],
            )
            for line in text.splitlines()
        ]
        return Page(number=number, width=600, height=800, confidence=self._confidence, lines=lines)


def _of_pdf(content: bytes) -> list[str]:
    with pypdfium2.PdfDocument(content) as pdf:
        return [page.get_textpage().get_text_range().strip() for page in pdf]


def _of_picture(content: bytes) -> list[str]:
    texts = []
    with Image.open(io.BytesIO(content)) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            texts.append(f"{image.format} {image.width} x {image.height}")
    return texts


@dataclass
class Google:
    """The emulated service, and engines that use it."""

    pool: WorkerPool
    gcs_endpoint: str
    bucket: GcsObjectStorage
    faults: Faults = field(default_factory=Faults)
    address: str = ""
    apis: list[DocumentAiApi] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.operations = Operations(self.faults)

    def service(self, backend: DocumentBackend, **limits: int) -> DocumentService:
        settings = StorageSettings(gcs_endpoint=self.gcs_endpoint, gcs_project_id="test")
        storage = CloudStorage(gcs.create_client(settings))
        return DocumentService(backend, self.operations, self.faults, storage, GoogleLimits(**limits))

    def engine(self, patience: Patience = PATIENT, *, with_bucket: bool = True, **config: Any) -> DocumentAiEngine:
        asked = DocumentAiConfig(
            processor_name("test", "us", "ocr"),
            **{"limits": DocumentLimits(), "page_seconds": 60.0, "at_once": 4, **config},
        )
        client = create_client(documentai.DocumentProcessorServiceAsyncClient, Connection("", self.address))
        limiter = create_limiter("documentai", per_minute=60_000, at_once=asked.at_once)
        api = DocumentAiApi(client, asked, limiter, patience)
        self.apis.append(api)
        return DocumentAiEngine(api, self.pool, self.bucket if with_bucket else None)

    @staticmethod
    async def read(
        engine: DocumentAiEngine, path: Path, steps: list[tuple[int, int]] | None = None, **options: Any
    ) -> DocumentReading:
        """Read a file; `steps` hears of the progress."""
        heard = [] if steps is None else steps
        source = SourceFile(path, "application/octet-stream")
        return await engine.recognize(source, OcrOptions(**options), lambda done, total: heard.append((done, total)))


@pytest.fixture(scope="session")
def gcs_endpoint() -> Iterator[str]:
    with gcs_emulator(BUCKET) as endpoint:
        yield endpoint


Serve = Callable[..., Any]


@pytest_asyncio.fixture(loop_scope="session")
async def google(pool: WorkerPool, gcs_endpoint: str) -> AsyncIterator[Google]:
    """Google without a server: `serve` starts one."""
    settings = StorageSettings(gcs_bucket_name=BUCKET, gcs_endpoint=gcs_endpoint, gcs_project_id="test")
    google = Google(pool, gcs_endpoint, GcsObjectStorage(gcs.create_client(settings), BUCKET))
    yield google
    for api in google.apis:
        await api.close()
    await google.operations.close()


@pytest_asyncio.fixture(loop_scope="session")
async def serve(google: Google) -> AsyncIterator[Serve]:
    """Starts the service with a backend and, where given, other limits; returns it."""
    servers: list[EmulatorServer] = []

    async def start(backend: DocumentBackend | None = None, **limits: int) -> DocumentService:
        service = google.service(backend or Copyist(), **limits)
        server = EmulatorServer([google.operations.handler(), service.handler()])
        servers.append(server)
        google.address = await server.start()
        return service

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
def copyist() -> Copyist:
    return Copyist()
