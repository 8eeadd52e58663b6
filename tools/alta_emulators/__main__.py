"""`python -m alta_emulators`: serve Google's engines from the local ones until SIGTERM.

Point DOCUMENTAI_ENDPOINT at it. Prints a line that begins with `ready` when it answers.
"""

import argparse
import asyncio

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
from alta_ocr.engines.limits import DocumentLimits
from alta_ocr.engines.local import LocalConfig, LocalEngine, warm_up_task

_PAGE_SECONDS = 120.0
_WORKER_BYTES = 6 * 1024**3


def create_document_pool(workers: int) -> WorkerPool:
    """Return the processes that read documents, not yet started."""
    limits = WorkerLimits(job_seconds=1500, step_seconds=_PAGE_SECONDS, memory_bytes=_WORKER_BYTES)
    return WorkerPool("emulated-documentai", workers, limits, warm_up=warm_up_task("auto"))


async def run(host: str, port: int, workers: int, gcs_endpoint: str) -> None:
    """Serve until SIGTERM or SIGINT."""
    faults = Faults()
    operations = Operations(faults)
    storage = CloudStorage(create_client(StorageSettings(gcs_endpoint=gcs_endpoint))) if gcs_endpoint else None
    pool = create_document_pool(workers)
    engine = LocalEngine(pool, LocalConfig(workers, _PAGE_SECONDS, DocumentLimits()))
    documents = DocumentService(LocalDocuments(engine), operations, faults, storage)
    server = EmulatorServer([operations.handler(), documents.handler()])
    try:
        await pool.start()
        address = await server.start(host, port)
        print(f"ready: Google's engines on {address}", flush=True)
        await until_stopped()
    finally:
        await server.stop(grace_seconds=2)
        await operations.close()
        await pool.close()


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m alta_emulators", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090, help="0: any free one")
    parser.add_argument("--workers", type=int, default=1, help="processes that read documents")
    parser.add_argument("--gcs-endpoint", default="", help="Cloud Storage's emulator, for batches")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.host, arguments.port, arguments.workers, arguments.gcs_endpoint))


if __name__ == "__main__":
    main()
