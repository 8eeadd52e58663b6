"""Objects at gs:// addresses, in the emulator of Cloud Storage or in the real one."""

import asyncio
from urllib.parse import urlsplit

import grpc
from google.api_core.exceptions import NotFound
from google.cloud.storage import Blob, Client

from alta_emulators.faults import RefusedError


class CloudStorage:
    """Reads and writes objects. The client blocks, so its calls run in threads."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self, uri: str) -> bytes:
        """Return the object at `uri`. Raises `RefusedError` as Google's services do when there is none."""
        try:
            content: bytes = await asyncio.to_thread(self._blob(uri).download_as_bytes)
        except NotFound as error:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Failed to read the input: {uri}") from error
        return content

    async def write(self, uri: str, content: bytes, content_type: str) -> None:
        """Store `content` at `uri`."""
        await asyncio.to_thread(self._blob(uri).upload_from_string, content, content_type)

    def _blob(self, uri: str) -> Blob:
        parts = urlsplit(uri)
        if parts.scheme != "gs" or not parts.netloc or not parts.path.strip("/"):
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid Cloud Storage address: {uri}")
        return self._client.bucket(parts.netloc).blob(parts.path.lstrip("/"))
