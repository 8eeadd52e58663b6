"""`python -m alta_emulators`: serve Google's engines from the local ones until SIGTERM.

Point DOCUMENTAI_ENDPOINT and SPEECH_ENDPOINT at it. Prints a line that begins with `ready` when it answers.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from alta_common.http.health import InternalServer
from alta_common.process import until_stopped
from alta_common.settings import StorageSettings
from alta_common.storage.gcs import create_client
from alta_common.workers.pool import WorkerLimits, WorkerPool
from alta_emulators.backends import LocalDocuments
from alta_emulators.cloud_storage import CloudStorage
from alta_emulators.documents import DocumentService
from alta_emulators.faults import Faults
from alta_emulators.operations import Operations
from alta_emulators.server import EmulatorServer
from alta_emulators.speech import SpeechService
from alta_emulators.voices import LocalSpeech
from alta_ocr.engines.limits import DocumentLimits
from alta_ocr.engines.local import LocalConfig, LocalEngine
from alta_ocr.engines.local import warm_up_task as warm_up_documents
from alta_transcription.engines.whisper import WhisperEngine, WhisperLimits
from alta_transcription.engines.whisper_config import BUNDLED_MODEL, WhisperConfig
from alta_transcription.engines.whisper_jobs import warm_up_task as warm_up_speech

_PAGE_SECONDS = 120.0
_JOB_SECONDS = 4 * 3600.0
_AUDIO_SECONDS = 8 * 3600.0
_WORKER_BYTES = 6 * 1024**3
_WHISPER = WhisperConfig(BUNDLED_MODEL)


def create_document_pool(workers: int) -> WorkerPool:
    """Return the processes that read documents, not yet started."""
    limits = WorkerLimits(job_seconds=_JOB_SECONDS, step_seconds=_PAGE_SECONDS, memory_bytes=_WORKER_BYTES)
    return WorkerPool("emulated-documentai", workers, limits, warm_up=warm_up_documents("auto"))


def create_speech_pool(workers: int) -> WorkerPool:
    """Return the processes that transcribe recordings, not yet started."""
    limits = WorkerLimits(job_seconds=_JOB_SECONDS, step_seconds=_PAGE_SECONDS, memory_bytes=_WORKER_BYTES)
    return WorkerPool("emulated-speech", workers, limits, warm_up=warm_up_speech(_WHISPER))


@asynccontextmanager
async def engines_server(
    documents: WorkerPool, speech: WorkerPool, workers: int, gcs_endpoint: str
) -> AsyncIterator[EmulatorServer]:
    """Hold a server of both engines, not yet started; the pools, of `workers` each, belong to the caller."""
    faults = Faults()
    operations = Operations(faults)
    storage = CloudStorage(create_client(StorageSettings(gcs_endpoint=gcs_endpoint))) if gcs_endpoint else None
    reader = LocalEngine(documents, LocalConfig(workers, _PAGE_SECONDS, DocumentLimits()))
    listener = WhisperEngine(speech, _WHISPER, WhisperLimits(_AUDIO_SECONDS, _JOB_SECONDS))
    services = [
        operations.handler(),
        DocumentService(LocalDocuments(reader), operations, faults, storage).handler(),
        SpeechService(LocalSpeech(listener), operations, faults, storage).handler(),
    ]
    server = EmulatorServer(services)
    try:
        yield server
    finally:
        await server.stop(grace_seconds=2)
        await operations.close()


async def run(arguments: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    documents, speech = create_document_pool(arguments.workers), create_speech_pool(arguments.workers)
    checks = {"documents": documents.check, "speech": speech.check}
    internal = InternalServer(arguments.host, arguments.internal_port, checks)
    async with engines_server(documents, speech, arguments.workers, arguments.gcs_endpoint) as server:
        try:
            await internal.start()
            await asyncio.gather(documents.start(), speech.start())
            address = await server.start(arguments.host, arguments.port)
            print(f"ready: Google's engines on {address}", flush=True)
            await until_stopped()
        finally:
            await asyncio.gather(documents.close(), speech.close())
            await internal.stop()


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m alta_emulators", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090, help="of the engines; 0: any free one")
    parser.add_argument("--internal-port", type=int, default=0, help="of /health/ready")
    parser.add_argument("--workers", type=int, default=1, help="processes that read, and that transcribe")
    parser.add_argument("--gcs-endpoint", default="", help="Cloud Storage's emulator, for what is read from there")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
