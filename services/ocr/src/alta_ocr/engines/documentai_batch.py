"""Long documents read by Document AI in a batch (BatchProcessDocuments): through Cloud Storage, in minutes to hours.

The operation is paid for when it begins, so its name is stored before anybody waits for it: a request that comes again
polls the same operation. Between Google's answer and our note of it lies a moment in which a crash pays twice.
"""

import asyncio
import re
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import structlog
from google.cloud import documentai_v1 as documentai
from google.longrunning.operations_pb2 import Operation
from google.protobuf.json_format import Parse

from alta_common.clock import utc_now
from alta_common.engines.google.long_running import OperationFailedError, OperationNotFoundError
from alta_common.engines.operations import Operations, RemoteOperation
from alta_common.engines.port import EngineError
from alta_common.errors import UnavailableError
from alta_ocr.engines.documentai_api import DocumentAiApi
from alta_ocr.engines.documentai_config import BATCH_FILE_BYTES
from alta_ocr.engines.documentai_cutting import Cutter
from alta_ocr.engines.documentai_pages import ReadPages, pages_of
from alta_ocr.engines.plan import Whole

log = structlog.get_logger()

_PART = "batch"
_INPUT = re.compile(r"/(\d+)-\d+$")
_SHARD = re.compile(r"(\d+)\.json$")


class Bucket(Protocol):
    """Where Google finds what it is to read, and leaves what it has read: `alta_common.storage.gcs`."""

    def uri_of(self, key: str) -> str:
        """Return the gs:// address of an object."""
        ...

    async def put_file(self, key: str, path: Path, content_type: str) -> Any:
        """Store a file."""
        ...

    async def keys_below(self, folder: str) -> list[str]:
        """Return the keys of all objects below a folder."""
        ...

    async def read(self, key: str) -> bytes:
        """Return the whole object. Raises `ObjectNotFoundError`."""
        ...

    async def delete_below(self, folder: str) -> None:
        """Remove all objects below a folder."""
        ...


class BatchReader:
    """Reads whole documents. The caller stores what `read` returns before it calls `forget`."""

    def __init__(self, api: DocumentAiApi, cutter: Cutter, bucket: Bucket) -> None:
        self._api = api
        self._cutter = cutter
        self._bucket = bucket

    async def read(self, whole: Whole, operations: Operations, language: str | None) -> ReadPages:
        """Return all pages, from the operation that an earlier delivery has begun or from a new one.

        Raises `EngineError`, and `UnavailableError` when the request is to come again: to wait for the operation when
        Google did not answer, to begin another when that one has failed.
        """
        resumed = await self.resume(whole.pages, operations)
        if resumed is not None:
            return resumed
        operation = await self._start(whole, operations, language)
        return await self._outcome_of(operation, whole.pages, operations)

    async def resume(self, pages: int, operations: Operations) -> ReadPages | None:
        """Return all `pages` from the operation that an earlier delivery has begun; None when none was.

        Raises as `read` does.
        """
        operation = await operations.find(_PART)
        if operation is None:
            return None
        try:
            return await self._outcome_of(operation, pages, operations)
        except OperationNotFoundError:
            # Google forgets what has ended some days ago.
            log.warning("documentai.operation_lost", operation=operation.name)
            await self.forget(operations)
            return None

    async def is_begun(self, operations: Operations) -> bool:
        """Say whether an earlier delivery has begun an operation."""
        return await operations.find(_PART) is not None

    async def abandon(self, operations: Operations) -> None:
        """End the operation at Google, if there is one, and remove what it reads and writes."""
        operation = await operations.find(_PART)
        if operation is not None:
            await self._api.operations.cancel(operation.name)
        await self.forget(operations)

    async def forget(self, operations: Operations) -> None:
        """Remove the temporary objects and the operation's name."""
        try:
            await self._bucket.delete_below(operations.folder)
        except UnavailableError as error:
            # The bucket's lifecycle rule removes them.
            log.warning("documentai.not_tidied", folder=operations.folder, error=error.detail)
        await operations.clear(_PART)

    async def _start(self, whole: Whole, operations: Operations, language: str | None) -> RemoteOperation:
        files: list[tuple[str, str]] = []
        size = self._api.config.batch_file_pages
        for first in range(1, whole.pages + 1, size):
            numbers = range(first, min(first + size, whole.pages + 1))
            async with self._cutter.part(whole, numbers, BATCH_FILE_BYTES) as part:
                key = f"{operations.folder}/in/{numbers[0]}-{numbers[-1]}"
                await self._bucket.put_file(key, part.path, part.media_type)
                files.append((self._bucket.uri_of(key), part.media_type))
        starting = self._api.begin(files, self._bucket.uri_of(f"{operations.folder}/out"), language)
        return await self._api.operations.begin(starting, operations, _PART, tuple(uri for uri, _ in files))

    async def _outcome_of(self, operation: RemoteOperation, pages: int, operations: Operations) -> ReadPages:
        try:
            with operations.waiting():
                ended = await self._ended(operation)
            return await self._collected(ended, (utc_now() - operation.started_at).total_seconds() / pages)
        except (EngineError, OperationFailedError):
            await self.forget(operations)
            raise

    async def _ended(self, operation: RemoteOperation) -> Operation:
        seen = Operation()
        try:
            return await self._api.operations.wait_for(operation.name, seen.CopyFrom)
        except (EngineError, OperationFailedError):
            # What is said of single files is more exact than what is said of the whole operation.
            self._check(_statuses(seen))
            raise

    async def _collected(self, ended: Operation, seconds_a_page: float) -> ReadPages:
        statuses = _statuses(ended)
        self._check(statuses)
        read = ReadPages()
        for status in statuses:
            keys = await self._bucket.keys_below(urlsplit(status.output_gcs_destination).path.strip("/"))
            shards = sorted((int(found[1]), key) for key in keys if (found := _SHARD.search(key)))
            for _, key in shards:
                content = await self._bucket.read(key)
                read.add(await asyncio.to_thread(_pages_of_shard, content, len(read.pages) + 1, seconds_a_page))
        return read

    def _check(self, statuses: list[Any]) -> None:
        for status in statuses:
            if status.status.code:
                failure = self._api.failure_of(status.status.code, status.status.message)
                raise OperationFailedError(failure.detail) if isinstance(failure, UnavailableError) else failure


def _statuses(operation: Operation) -> list[Any]:
    """Return what became of each file of a batch, in the order of their pages."""
    metadata = documentai.BatchProcessMetadata.pb(documentai.BatchProcessMetadata())
    operation.metadata.Unpack(metadata)
    return sorted(metadata.individual_process_statuses, key=_first_page)


def _first_page(status: Any) -> int:
    found = _INPUT.search(status.input_gcs_source)
    return int(found[1]) if found else 0


def _pages_of_shard(content: bytes, first: int, seconds_a_page: float) -> ReadPages:
    document = Parse(content, documentai.Document.pb(documentai.Document()), ignore_unknown_fields=True)
    return pages_of(document, first, seconds_a_page * len(document.pages))
