import hashlib
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.cloud import storage as google_storage
from google.oauth2 import service_account

from alta_common.errors import UnavailableError
from alta_common.settings import StorageSettings
from alta_common.storage.gcs import GcsObjectStorage, create_client
from alta_common.storage.object_storage import ObjectNotFoundError
from alta_common.testing.gcs import gcs_emulator

BUCKET = "alta-gcs"
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with gcs_emulator(BUCKET) as address:
        yield address


def storage_at(endpoint: str, bucket: str = BUCKET) -> GcsObjectStorage:
    settings = StorageSettings(gcs_bucket_name=bucket, gcs_endpoint=endpoint, gcs_project_id="test")
    return GcsObjectStorage(create_client(settings), bucket)


@pytest.fixture
def storage(endpoint: str) -> GcsObjectStorage:
    return storage_at(endpoint)


async def test_objects_below_a_folder_are_found_and_removed(storage: GcsObjectStorage) -> None:
    for key in ("work/1/a", "work/1/b/c", "work/12/a"):
        await storage.put_bytes(key, b"x", "text/plain")

    assert await storage.keys_below("work/1") == ["work/1/a", "work/1/b/c"]
    await storage.delete_below("work/1")

    assert await storage.keys_below("work") == ["work/12/a"]


async def test_other_services_are_given_an_address_of_the_same_object(storage: GcsObjectStorage) -> None:
    assert storage.uri_of("work/1/audio.flac") == f"gs://{BUCKET}/work/1/audio.flac"
    with pytest.raises(ValueError, match="object key"):
        storage.uri_of("../secret")


async def test_a_file_is_stored(storage: GcsObjectStorage, tmp_path: Path) -> None:
    content = os.urandom(2_500_000)
    (tmp_path / "audio.flac").write_bytes(content)

    stored = await storage.put_file("files/audio", tmp_path / "audio.flac", "audio/flac")

    assert (stored.size_bytes, stored.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert await storage.read("files/audio") == content


async def test_a_signed_address_can_be_opened_by_anybody(storage: GcsObjectStorage) -> None:
    await storage.put_bytes("files/note", b"hello", "text/plain")

    url = await storage.signed_url("files/note", HOUR, filename="Übersicht.txt")

    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).content == b"hello"


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(days=8), -HOUR])
async def test_an_address_is_not_signed_for_longer_than_google_allows(
    storage: GcsObjectStorage, lifetime: timedelta
) -> None:
    with pytest.raises(ValueError, match="cannot be valid"):
        await storage.signed_url("files/note", lifetime)


async def test_the_signature_covers_method_object_headers_and_lifetime() -> None:
    # Emulators accept any signature: it is checked here as Google documents it (V4 signing process).
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    account = {"client_email": "alta@p.example", "token_uri": "https://t.example", "private_key": pem.decode()}
    credentials = service_account.Credentials.from_service_account_info(account)
    storage = GcsObjectStorage(google_storage.Client(project="p", credentials=credentials), BUCKET)

    url = await storage.signed_url("files/note", HOUR, filename='a"b;c.txt')

    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    signature = bytes.fromhex(query.pop("X-Goog-Signature"))
    assert query["X-Goog-Expires"] == "3600"
    assert query["response-content-disposition"] == "attachment; filename*=UTF-8''a%22b%3Bc.txt"
    scope = f"{query['X-Goog-Date'][:8]}/auto/storage/goog4_request"
    assert query["X-Goog-Credential"] == f"alta@p.example/{scope}"
    canonical_query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items()))
    lines = ["GET", f"/{BUCKET}/files/note", canonical_query, f"host:{parts.netloc}", "", "host", "UNSIGNED-PAYLOAD"]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    signed = "\n".join(["GOOG4-RSA-SHA256", query["X-Goog-Date"], scope, digest]).encode()
    key.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())


@contextmanager
def failing_now_and_then(endpoint: str) -> Iterator[tuple[str, list[str]]]:
    """Run a proxy before the emulator that answers 503 to every second request; yield its address and what it did."""
    seen: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.append(self.command)
            if len(seen) % 2:
                return self.answer(503, {}, b"")
            target = httpx.URL(endpoint).copy_with(raw_path=self.path.encode())
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            answer = httpx.request(self.command, target, headers=headers, content=body, timeout=60)
            kept = {k: v for k, v in answer.headers.items() if k not in ("content-length", "connection", "location")}
            if "location" in answer.headers:
                kept["location"] = answer.headers["location"].replace(endpoint, address)
            return self.answer(answer.status_code, kept, answer.content)

        def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

        do_GET = do_POST = do_PUT = forward  # noqa: N815 - the names that the server looks for

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield address, seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_an_upload_goes_on_where_the_service_failed_for_a_moment(endpoint: str) -> None:
    content = os.urandom(1_500_000)

    async def pieces() -> AsyncIterator[bytes]:
        yield content[:700_000]
        yield content[700_000:]

    with failing_now_and_then(endpoint) as (address, seen):
        storage = storage_at(address)
        stored = await storage.put("retried/stream", pieces(), "application/octet-stream")
        await storage.put_bytes("retried/bytes", content, "application/octet-stream")

    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    assert seen.count("PUT") >= 3
    for key in ("retried/stream", "retried/bytes"):
        found = await storage_at(endpoint).read(key)
        assert hashlib.sha256(found).hexdigest() == stored.sha256


async def some_pieces() -> AsyncIterator[bytes]:
    yield b"x" * 3_000_000


async def test_a_bucket_that_is_missing_is_no_missing_object(endpoint: str, tmp_path: Path) -> None:
    storage = storage_at(endpoint, "nowhere")
    (tmp_path / "file").write_bytes(b"x")

    for call in (
        storage.read("a"),
        storage.size("a"),
        storage.download_to("a", tmp_path / "a"),
        storage.delete("a"),
        storage.keys_below("a"),
        storage.put_bytes("a", b"x", "text/plain"),
        storage.put("a", some_pieces(), "text/plain"),
        storage.put_file("a", tmp_path / "file", "text/plain"),
        anext(storage.open("a")),
    ):
        with pytest.raises(UnavailableError):
            await call

    with pytest.raises(ObjectNotFoundError):
        await storage_at(endpoint).read("a")


@contextmanager
def answering(status: int, *, begins: bool = False, lists: bool = False) -> Iterator[str]:
    """Run a Cloud Storage that answers all with `status`; but uploads begin where `begins`, objects are listed."""

    class Refusing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_begun = begins and self.command == "POST"
            is_listed = lists and urlsplit(self.path).path.endswith("/o")
            self.send_response(200 if is_begun or is_listed else status)
            if is_begun:
                self.send_header("Location", f"{address}/session")
            body = b"" if is_begun else b"{}"
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the names that the server looks for

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(("status", "begins"), [(403, False), (404, False), (403, True), (404, True), (200, True)])
async def test_an_upload_that_is_refused_can_be_tried_again_later(status: int, begins: bool, tmp_path: Path) -> None:
    # With 200 it arrives, but not as it was sent: the answer names no checksum that is right.
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)

    with answering(status, begins=begins) as address:
        storage = storage_at(address)
        with pytest.raises(UnavailableError):
            await storage.put_file("a", tmp_path / "file", "audio/flac")
        if not begins:
            with pytest.raises(UnavailableError):
                await storage.put_bytes("a", b"x", "text/plain")


async def test_who_may_use_objects_only_is_ready() -> None:
    with answering(403, lists=True) as address:
        await storage_at(address).check()
    with answering(403) as address, pytest.raises(UnavailableError):
        await storage_at(address).check()
