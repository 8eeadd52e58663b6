"""Object storage in a Google Cloud Storage bucket."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Lock
from typing import IO, Any, TypeVar

import structlog
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException

from alta_common.errors import UnavailableError
from alta_common.settings import StorageSettings
from alta_common.storage.gcs_signing import signed_url
from alta_common.storage.object_storage import CHUNK_BYTES, ObjectNotFoundError, StoredObject, checked_key

log = structlog.get_logger()

T = TypeVar("T")

_THREADS = 16
_TIMEOUT_SECONDS = 60
# What an upload holds in memory; a multiple of 256 KiB, as resumable uploads want it.
_UPLOAD_BYTES = 1024 * 1024
# How long a bucket that was there is taken to be there still.
_BUCKET_SECONDS = 10.0

# What the library raises for refusals and failures. Uploads of streams raise the last two, which belong to no family.
_FAILURES = (GoogleAPIError, GoogleAuthError, RequestException, InvalidResponse, DataCorruption)


class GcsObjectStorage:
    """Keeps objects in a bucket. The client library blocks, so its calls run in a bounded pool of threads.

    The library tries again what failed on the way (408, 429, 5xx, a broken connection). For uploads that is safe
    without `if_generation_match`, because a second `put` of a key replaces the first with the same bytes.
    """

    def __init__(self, client: storage.Client, bucket: str) -> None:
        self._bucket = client.bucket(bucket)
        self._client = client
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="gcs")
        self._bucket_seen_at = float("-inf")

    async def put(self, key: str, chunks: AsyncIterator[bytes], content_type: str) -> StoredObject:
        """Store what `chunks` yields as one resumable upload; nothing is visible before its end."""
        blob = self._bucket.blob(checked_key(key), chunk_size=_UPLOAD_BYTES)
        opener = partial(blob.open, "wb", content_type=content_type, timeout=_TIMEOUT_SECONDS)
        upload = _Upload(await self._run(key, opener))
        try:
            async for chunk in chunks:
                await self._run(key, partial(upload.write, chunk))
            await self._run(key, upload.finish)
        except BaseException:
            await asyncio.shield(self._run(key, upload.abandon))
            raise
        return StoredObject(key, upload.size_bytes, upload.digest.hexdigest())

    async def put_bytes(self, key: str, data: bytes, content_type: str) -> StoredObject:
        """Store `data` in one request."""
        blob = self._bucket.blob(checked_key(key))
        try:
            await self._run(key, partial(blob.upload_from_string, data, content_type, timeout=_TIMEOUT_SECONDS))
        except ObjectNotFoundError as error:
            raise self._no_bucket() from error
        return StoredObject(key, len(data), hashlib.sha256(data).hexdigest())

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to, not including, `end`, in ranged requests."""
        blob = self._bucket.blob(checked_key(key), chunk_size=_UPLOAD_BYTES)
        # Asks for size and generation first, and then reads that generation: a replaced object is never mixed.
        await self._run(key, partial(blob.reload, timeout=_TIMEOUT_SECONDS))
        last = blob.size if end is None else min(end, blob.size)
        reader: IO[bytes] = await self._run(key, partial(blob.open, "rb", timeout=_TIMEOUT_SECONDS))
        try:
            await self._run(key, partial(reader.seek, min(start, blob.size)))
            while start < last:
                chunk = await self._run(key, partial(reader.read, min(CHUNK_BYTES, last - start)))
                if not chunk:
                    break
                start += len(chunk)
                yield chunk
        finally:
            reader.close()

    async def read(self, key: str) -> bytes:
        """Return the whole object."""
        blob = self._bucket.blob(checked_key(key))
        data: bytes = await self._run(key, partial(blob.download_as_bytes, timeout=_TIMEOUT_SECONDS))
        return data

    async def size(self, key: str) -> int:
        """Return the object's size in bytes."""
        blob = self._bucket.blob(checked_key(key))
        await self._run(key, partial(blob.reload, timeout=_TIMEOUT_SECONDS))
        return int(blob.size)

    async def delete(self, key: str) -> None:
        """Remove the object; a missing one is fine."""
        blob = self._bucket.blob(checked_key(key))
        try:
            await self._run(key, partial(blob.delete, timeout=_TIMEOUT_SECONDS))
        except ObjectNotFoundError:
            return

    async def download_to(self, key: str, path: Path) -> None:
        """Write the object to `path`."""
        blob = self._bucket.blob(checked_key(key), chunk_size=_UPLOAD_BYTES)
        await self._run(key, partial(blob.download_to_filename, str(path), timeout=_TIMEOUT_SECONDS))

    def uri_of(self, key: str) -> str:
        """Return the address by which other services of Google find the object."""
        return f"gs://{self._bucket.name}/{checked_key(key)}"

    async def put_file(self, key: str, path: Path, content_type: str) -> StoredObject:
        """Store the file `path` as one resumable upload."""
        return await self.put(key, _chunks_of(path), content_type)

    async def keys_below(self, folder: str) -> list[str]:
        """Return the keys of all objects below `folder`, a key without a slash at its end, in the order of names."""
        prefix = checked_key(folder) + "/"
        listing = partial(self._client.list_blobs, self._bucket, prefix=prefix, timeout=_TIMEOUT_SECONDS)
        return await self._run(folder, lambda: [blob.name for blob in listing()])

    async def delete_below(self, folder: str) -> None:
        """Remove all objects below `folder`."""
        for key in await self.keys_below(folder):
            await self.delete(key)

    async def signed_url(self, key: str, lifetime: timedelta, *, filename: str | None = None) -> str:
        """Return an address at which anybody may GET the object for `lifetime`, at most seven days.

        Whether the object exists is not looked at. With `filename` a browser saves it under that name.
        """
        blob = self._bucket.blob(checked_key(key))
        return await self._run(key, partial(signed_url, blob, self._client._credentials, lifetime, filename))  # noqa: SLF001 - the client's own are private

    async def tidy(self) -> int:
        """Find nothing: Cloud Storage ends unfinished uploads by itself, after a week."""
        return 0

    async def check(self) -> None:
        """Raise `UnavailableError` when the bucket does not answer."""
        await self._look_at_bucket(timeout=5, retry=None)

    async def _run(self, key: str, call: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except NotFound:
            await self._require_bucket()
            raise ObjectNotFoundError(f"there is no object {key}") from None
        except _FAILURES as error:
            raise UnavailableError(f"Cloud Storage did not answer: {error}") from error

    async def _require_bucket(self) -> None:
        """Raise `UnavailableError` when it is the bucket that is missing: its objects answer with 404 as well.

        An owner who was told that the file is missing would upload it again.
        """
        if time.monotonic() < self._bucket_seen_at + _BUCKET_SECONDS:
            return
        await self._look_at_bucket(timeout=_TIMEOUT_SECONDS)
        self._bucket_seen_at = time.monotonic()

    async def _look_at_bucket(self, **how: Any) -> None:
        # Who may read and write objects (`roles/storage.objectUser`) may list them, but not ask for the bucket itself.
        listing = self._client.list_blobs(self._bucket, max_results=1, **how)
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, lambda: list(listing))
        except NotFound as error:
            raise self._no_bucket() from error
        except _FAILURES as error:
            raise UnavailableError(f"Cloud Storage did not answer: {error}") from error

    def _no_bucket(self) -> UnavailableError:
        return UnavailableError(f"there is no bucket {self._bucket.name}")


def create_client(settings: StorageSettings) -> storage.Client:
    """Return a client for the settings' project; with GCS_ENDPOINT set, one for an emulator without credentials."""
    if settings.gcs_endpoint:
        client = storage.Client(
            project=settings.gcs_project_id or "local",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]  # google-auth ships no types for it
            client_options={"api_endpoint": settings.gcs_endpoint},
        )
    elif settings.google_application_credentials is not None:
        path = str(settings.google_application_credentials)
        client = storage.Client.from_service_account_json(path, project=settings.gcs_project_id or None)
    else:
        client = storage.Client(project=settings.gcs_project_id or None)
    # One connection a thread; the library's own pool has ten.
    for scheme in ("https://", "http://"):
        client._http.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=_THREADS))  # noqa: SLF001 - no other way
    return client


async def _chunks_of(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk


class _Upload:
    """A resumable upload. Its methods block, and take turns: a cancelled caller may leave one running in its thread."""

    def __init__(self, writer: Any) -> None:
        self.digest = hashlib.sha256()
        self.size_bytes = 0
        self._writer = writer
        self._lock = Lock()

    def write(self, chunk: bytes) -> None:
        with self._lock:
            self._writer.write(chunk)
            self.digest.update(chunk)
            self.size_bytes += len(chunk)

    def finish(self) -> None:
        with self._lock:
            self._writer.close()

    def abandon(self) -> None:
        """Give up without finishing, as closing would make an object of what has arrived so far."""
        with self._lock:
            try:
                self._writer.terminate()
            except _FAILURES as error:
                log.warning("storage.upload_not_cancelled", error=repr(error))
            finally:
                # Else the writer would close itself, and finish the upload, when it is collected.
                self._writer._buffer.close()  # noqa: SLF001 - there is no other way
