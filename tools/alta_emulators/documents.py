"""Document AI: online and batch processing, with Google's limits.

Limits and messages as of November 2026: https://cloud.google.com/document-ai/limits and errors seen in the wild.
"""

import io
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol

import grpc
import pypdfium2
from google.cloud import documentai_v1 as documentai
from google.longrunning.operations_pb2 import Operation
from google.protobuf.json_format import MessageToJson
from PIL import Image, UnidentifiedImageError

from alta_emulators.cloud_storage import CloudStorage
from alta_emulators.faults import REMEMBERED_REQUESTS, Faults, RefusedError
from alta_emulators.operations import Operations, RunningOperation
from alta_emulators.rpc import plus, service, starting

SERVICE = "google.cloud.documentai.v1.DocumentProcessorService"

_MAGIC = {
    "application/pdf": (b"%PDF-",),
    "image/png": (b"\x89PNG",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/tiff": (b"II*\x00", b"MM\x00*"),
    "image/gif": (b"GIF8",),
    "image/bmp": (b"BM",),
    "image/webp": (b"RIFF",),
}
_PAGE_PICTURE = b"\x89PNG: a picture of the page, for whoever does not ask for less"


class DocumentBackend(Protocol):
    """Reads documents."""

    async def read(self, content: bytes, media_type: str) -> documentai.Document:
        """Return all that is read in a file. Raises `RefusedError` when it cannot be read."""
        ...


@dataclass(frozen=True)
class DocumentLimits:
    """What Google refuses."""

    online_bytes: int = 41_943_040
    online_pages: int = 15
    imageless_pages: int = 30
    image_pixels: int = 40_000_000
    batch_bytes: int = 1_000_000_000
    batch_pages: int = 500


class DocumentService:
    """The service. What arrived last stands in `requests`, online and batch."""

    def __init__(
        self,
        backend: DocumentBackend,
        operations: Operations,
        faults: Faults,
        storage: CloudStorage | None = None,
        limits: DocumentLimits | None = None,
    ) -> None:
        self.requests: deque[documentai.ProcessRequest | documentai.BatchProcessRequest] = deque(
            maxlen=REMEMBERED_REQUESTS
        )
        self._backend = backend
        self._operations = operations
        self._faults = faults
        self._storage = storage
        self._limits = limits or DocumentLimits()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the service for a server."""
        methods = {
            "ProcessDocument": plus(self._process, documentai.ProcessRequest, documentai.ProcessResponse),
            "BatchProcessDocuments": starting(self._batch, documentai.BatchProcessRequest),
        }
        return service(SERVICE, methods, self._faults)

    async def _process(self, request: documentai.ProcessRequest) -> documentai.ProcessResponse:
        self.requests.append(request)
        content, media_type = request.raw_document.content, request.raw_document.mime_type
        if len(content) > self._limits.online_bytes:
            raise _invalid(f"Request payload size exceeds the limit: {self._limits.online_bytes} bytes.")
        pages = pages_of(content, media_type, self._limits.image_pixels)
        self._check_online_pages(pages, imageless=request.imageless_mode)
        document = await self._backend.read(content, media_type)
        return documentai.ProcessResponse(document=masked(document, request.field_mask.paths))

    def _check_online_pages(self, pages: int, *, imageless: bool) -> None:
        if imageless and pages > self._limits.imageless_pages:
            raise _invalid(f"Document pages exceed the limit: {self._limits.imageless_pages} got {pages}")
        if not imageless and pages > self._limits.online_pages:
            raise _invalid(
                f"Document pages in non-imageless mode exceed the limit: {self._limits.online_pages} got {pages}. "
                f"Try using imageless mode to increase the limit to {self._limits.imageless_pages}."
            )

    async def _batch(self, request: documentai.BatchProcessRequest) -> Operation:
        self.requests.append(request)
        parent = request.name.partition("/processors/")[0]
        return self._operations.start(parent, lambda running: self._read_all(request, running))

    async def _read_all(self, request: documentai.BatchProcessRequest, running: RunningOperation) -> Any:
        states = documentai.BatchProcessMetadata.State
        metadata = documentai.BatchProcessMetadata(state=states.RUNNING)
        running.tell(documentai.BatchProcessMetadata.pb(metadata))
        output = request.document_output_config.gcs_output_config
        for number, document in enumerate(request.input_documents.gcs_documents.documents):
            folder = f"{output.gcs_uri.rstrip('/')}/{running.name.rpartition('/')[2]}/{number}"
            metadata.individual_process_statuses.append(await self._read_one(document, folder, output))
        failed = [status for status in metadata.individual_process_statuses if status.status.code]
        metadata.state = states(states.FAILED if failed else states.SUCCEEDED)
        running.tell(documentai.BatchProcessMetadata.pb(metadata))
        if len(failed) == len(metadata.individual_process_statuses):
            raise _invalid("Failed to process all documents.")
        return documentai.BatchProcessResponse.pb(documentai.BatchProcessResponse())

    async def _read_one(self, document: Any, folder: str, output: Any) -> Any:
        status = documentai.BatchProcessMetadata.IndividualProcessStatus(
            input_gcs_source=document.gcs_uri, output_gcs_destination=folder
        )
        try:
            await self._read_to(document, folder, output)
        except RefusedError as refused:
            status.status = {"code": refused.status.value[0], "message": refused.message}
        return status

    async def _read_to(self, document: Any, folder: str, output: Any) -> None:
        if self._storage is None:
            raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION, "This emulator has no Cloud Storage.")
        content = await self._storage.read(document.gcs_uri)
        if len(content) > self._limits.batch_bytes:
            raise _invalid(f"Request payload size exceeds the limit: {self._limits.batch_bytes} bytes.")
        pages = pages_of(content, document.mime_type, self._limits.image_pixels)
        if pages > self._limits.batch_pages:
            raise _invalid(f"Document pages exceed the limit: {self._limits.batch_pages} got {pages}")
        read = masked(await self._backend.read(content, document.mime_type), output.field_mask.paths)
        stem = PurePosixPath(document.gcs_uri).stem
        for number, shard in enumerate(sharded(read, output.sharding_config.pages_per_shard or pages)):
            json = MessageToJson(documentai.Document.pb(shard)).encode()
            await self._storage.write(f"{folder}/{stem}-{number}.json", json, "application/json")


def pages_of(content: bytes, media_type: str, most_pixels: int) -> int:
    """Return how many pages a file has. Raises `RefusedError` for what Google refuses."""
    if media_type not in _MAGIC or not content.startswith(_MAGIC[media_type]):
        raise _invalid("Unsupported input file format.")
    if media_type == "application/pdf":
        return _pdf_pages(content)
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > most_pixels:
                raise _invalid(f"Image size exceeds the limit: {most_pixels} pixels got {image.width * image.height}.")
            return int(getattr(image, "n_frames", 1)) if media_type == "image/tiff" else 1
    except (UnidentifiedImageError, OSError) as error:
        raise _invalid("Failed to decode the image: it is corrupt.") from error


def _pdf_pages(content: bytes) -> int:
    try:
        with pypdfium2.PdfDocument(content) as pdf:
            return len(pdf)
    except pypdfium2.PdfiumError as error:
        reason = "PDF is encrypted." if "password" in str(error).lower() else "Failed to parse the PDF: it is corrupt."
        raise _invalid(reason) from error


def masked(document: documentai.Document, paths: Sequence[str]) -> documentai.Document:
    """Return `document` with what `paths` name, such as `text` and `pages.lines`; without paths all of it."""
    whole = documentai.Document.pb(document)
    shown = type(whole)()
    shown.CopyFrom(whole)
    for page in shown.pages:
        page.image.content = _PAGE_PICTURE
    if paths:
        _keep(shown, {path.partition(".")[0] for path in paths})
        of_pages = {path.partition(".")[2] for path in paths if path.startswith("pages.")}
        for page in shown.pages if of_pages and "pages" not in paths else ():
            _keep(page, of_pages)
    kept: documentai.Document = documentai.Document.wrap(shown)
    return kept


def _keep(message: Any, fields: set[str]) -> None:
    for field in message.DESCRIPTOR.fields:
        if field.name not in fields:
            message.ClearField(field.name)


def sharded(document: documentai.Document, pages_per_shard: int) -> Iterable[documentai.Document]:
    """Yield the shards that a batch writes: some pages each, and the text of those, anchors beginning anew in it."""
    whole = documentai.Document.pb(document)
    count = -(-len(whole.pages) // pages_per_shard)
    for number in range(count):
        shard = type(whole)(shard_info={"shard_index": number, "shard_count": count})
        pages = whole.pages[number * pages_per_shard : (number + 1) * pages_per_shard]
        shard.pages.extend(pages)
        segments = [segment for page in shard.pages for segment in _segments(page)]
        start = min((segment.start_index for segment in segments), default=0)
        end = max((segment.end_index for segment in segments), default=0)
        for segment in segments:
            segment.start_index -= start
            segment.end_index -= start
        shard.text = whole.text[start:end]
        shard.shard_info.text_offset = start
        yield documentai.Document.wrap(shard)


def _segments(page: Any) -> Iterable[Any]:
    for layout in (page.layout, *(item.layout for item in (*page.blocks, *page.paragraphs, *page.lines, *page.tokens))):
        yield from layout.text_anchor.text_segments


def _invalid(message: str) -> RefusedError:
    return RefusedError(grpc.StatusCode.INVALID_ARGUMENT, message)
