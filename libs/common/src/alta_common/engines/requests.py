"""What a request brings to an engine: the file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from alta_common.contracts.projects import DocumentOcrRequested, VoiceTranscriptionRequested
from alta_common.engines.folders import working_folder
from alta_common.engines.port import EngineError, SourceFile
from alta_common.errors import NotFoundError
from alta_common.storage.object_storage import ObjectStorage
from alta_common.telemetry.context import span

EngineRequest = DocumentOcrRequested | VoiceTranscriptionRequested


def folder_prefix(service: str) -> str:
    """Return how the names of the folders begin in which `service` holds files."""
    return f"alta-{service}-"


@asynccontextmanager
async def downloaded(request: EngineRequest, storage: ObjectStorage, service: str) -> AsyncIterator[SourceFile]:
    """Hold the request's file in a folder that is gone afterwards. Raises `EngineError` when it is not stored."""
    with working_folder(folder_prefix(service)) as folder:
        path = folder / "original"
        with span(f"{service}.download", attributes={"alta.bytes": request.size_bytes}):
            try:
                await storage.download_to(request.object_key, path)
            except NotFoundError as error:
                raise EngineError("file_missing", "The stored file is not there any more.") from error
        yield SourceFile(path, request.content_type)
