"""The processes as they are started: they serve, stay small under large uploads, and stop cleanly."""

import asyncio
import hashlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
import pytest

from alta_common.ids import new_id
from alta_common.testing import eventually
from alta_common.testing.postgres import FreshDatabase
from alta_common.testing.tokens import TokenMaker

MIB = 1024 * 1024
UPLOAD_BYTES = 300 * MIB
ALLOWED_GROWTH = 60 * MIB


@pytest.fixture
def jwks_url(tokens: TokenMaker) -> Iterator[str]:
    """Identity's public keys, served over HTTP."""

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(orjson.dumps(tokens.jwks))

        def log_message(self, *_: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/jwks.json"
    server.shutdown()
    server.server_close()


class Running:
    """A started process, what it has logged, and where it listens."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    def port(self, event: str) -> int | None:
        found = (
            re.search(rf'"port":(\d+).*"event":"{event}"|"event":"{event}".*"port":(\d+)', one) for one in self.lines
        )
        return next((int(match[1] or match[2]) for match in found if match), None)

    @property
    def memory(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    async def url(self, event: str) -> str:
        return f"http://127.0.0.1:{await eventually(lambda: self.port(event))}"


@asynccontextmanager
async def started(module: str, environment: dict[str, str]) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, env=environment, stdout=asyncio.subprocess.PIPE
    )
    running = Running(process)

    async def read() -> None:
        assert process.stdout
        async for line in process.stdout:
            running.lines.append(line.decode())

    reading = asyncio.create_task(read())
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


@pytest.fixture
def environment(database: FreshDatabase, tmp_path: Path, jwks_url: str) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        **database.environment("projects"),
        "STORAGE_DIR": str(tmp_path / "objects"),
        "AUTH_JWKS_URL": jwks_url,
        "HTTP_PORT": "0",
        "INTERNAL_PORT": "0",
    }


async def wav_form(size: int, digest: Any) -> AsyncIterator[bytes]:
    yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="long.wav"\r\n\r\n'
    piece = b"RIFF\xff\xff\xff\xffWAVEfmt " + os.urandom(MIB - 16)
    for _ in range(size // MIB):
        digest.update(piece)
        yield piece
        piece = piece[-1:] + piece[:-1]
    yield b"\r\n--b--\r\n"


async def test_a_large_upload_and_download_take_little_memory(
    environment: dict[str, str], tokens: TokenMaker, record_property: Callable[[str, object], None]
) -> None:
    headers = tokens.headers(new_id(), expires_in=600)
    async with started("alta_projects.main", environment) as running:
        base_url = await running.url("http.listening")
        async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=60) as client:
            project = (await client.post("/v1/projects", json={"name": "Recordings"})).json()
            small = await client.post(
                f"/v1/projects/{project['id']}/voice-samples", files={"file": ("a.wav", b"RIFF1234WAVEfmt small")}
            )
            assert small.status_code == 202
            idle, peak, done = running.memory, 0, asyncio.Event()

            async def watch() -> None:
                nonlocal peak
                while not done.is_set():
                    peak = max(peak, running.memory)
                    await asyncio.sleep(0.01)

            watching, digest, begun = asyncio.create_task(watch()), hashlib.sha256(), time.monotonic()
            taken = await client.post(
                f"/v1/projects/{project['id']}/voice-samples",
                content=wav_form(UPLOAD_BYTES, digest),
                headers={"Content-Type": "multipart/form-data; boundary=b"},
            )
            seconds = time.monotonic() - begun
            assert taken.status_code == 202, taken.text
            assert (taken.json()["sha256"], taken.json()["size_bytes"]) == (digest.hexdigest(), UPLOAD_BYTES)
            async with client.stream("GET", f"{taken.headers['Location']}/content") as download:
                received = hashlib.sha256()
                async for chunk in download.aiter_bytes():
                    received.update(chunk)
            done.set()
            await watching

    assert received.hexdigest() == digest.hexdigest()
    growth = peak - idle
    record_property("growth_mib", round(growth / MIB, 1))
    record_property("mib_per_second", round(UPLOAD_BYTES / MIB / seconds))
    assert growth < ALLOWED_GROWTH


async def test_an_upload_that_is_killed_leaves_an_object_that_is_known(
    environment: dict[str, str], tokens: TokenMaker, database: FreshDatabase
) -> None:
    import asyncpg

    headers = tokens.headers(new_id())
    async with started("alta_projects.main", environment) as running:
        base_url = await running.url("http.listening")
        async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=60) as client:
            project = (await client.post("/v1/projects", json={"name": "Recordings"})).json()

            async def stuck() -> AsyncIterator[bytes]:
                async for piece in wav_form(10 * MIB, hashlib.sha256()):
                    yield piece
                    if len(piece) == MIB:
                        await asyncio.Event().wait()

            uploading = asyncio.create_task(
                client.post(
                    f"/v1/projects/{project['id']}/voice-samples",
                    content=stuck(),
                    headers={"Content-Type": "multipart/form-data; boundary=b"},
                )
            )
            connection = await asyncpg.connect(database.superuser_dsn)
            query = "SELECT object_key FROM projects.unclaimed_object WHERE object_key LIKE '%' || $1 || '%'"
            await eventually(lambda: connection.fetchval(query, project["id"]))
            running.process.kill()
            await running.process.wait()
            uploading.cancel()

    assert await connection.fetchval(query, project["id"])
    assert not await connection.fetchval("SELECT 1 FROM projects.media_item WHERE project_id = $1", project["id"])
    await connection.close()


async def test_the_http_process_is_ready_and_stops_cleanly_while_clients_wait(
    environment: dict[str, str], tokens: TokenMaker
) -> None:
    headers = tokens.headers(new_id())
    async with started("alta_projects.main", environment) as running:
        internal = await running.url("internal.listening")
        base_url = await running.url("http.listening")
        async with httpx.AsyncClient(timeout=120) as client:

            async def checks() -> dict[str, str] | None:
                answer = await client.get(f"{internal}/health/ready")
                return answer.json()["checks"] if answer.status_code == 200 else None

            ready = await eventually(checks)
            assert ready == dict.fromkeys(("http", "database", "storage", "signing_keys"), "ok")
            project = (await client.post(f"{base_url}/v1/projects", json={"name": "a"}, headers=headers)).json()
            upload = {"file": ("a.pdf", b"%PDF-1.7")}
            taken = await client.post(
                f"{base_url}/v1/projects/{project['id']}/documents", files=upload, headers=headers
            )
            metrics = (await client.get(f"{internal}/metrics")).text
            assert 'alta_uploads_accepted_total{kind="document"} 1.0' in metrics
            waiting = asyncio.create_task(
                client.get(f"{base_url}{taken.headers['Location']}", params={"wait": 60}, headers=headers)
            )
            await eventually(lambda: _active(client, internal))
            running.process.send_signal(signal.SIGTERM)

            assert (await waiting).json()["status"] == "queued"
            assert await asyncio.wait_for(running.process.wait(), 60) == 0


async def _active(client: httpx.AsyncClient, internal: str) -> bool:
    return (
        'http_server_active_requests{http_request_method="GET"} 1.0' in (await client.get(f"{internal}/metrics")).text
    )


async def test_the_worker_is_ready_and_stops_cleanly(environment: dict[str, str], rabbitmq_url: str) -> None:
    async with started("alta_projects.worker", {**environment, "RABBITMQ_URL": rabbitmq_url}) as running:
        internal = await running.url("internal.listening")
        async with httpx.AsyncClient(timeout=60) as client:

            async def is_ready() -> bool:
                answer = await client.get(f"{internal}/health/ready")
                return answer.status_code == 200 and answer.json()["checks"].keys() == {"database", "storage", "broker"}

            await eventually(is_ready)
        running.process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(running.process.wait(), 60) == 0


async def test_a_worker_that_waits_for_its_broker_can_be_stopped(environment: dict[str, str]) -> None:
    async with started("alta_projects.worker", {**environment, "RABBITMQ_URL": "amqp://127.0.0.1:1/"}) as running:
        await eventually(lambda: any("broker.awaited" in line for line in running.lines))
        running.process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(running.process.wait(), 60) == 0


async def test_a_missing_setting_is_named(environment: dict[str, str]) -> None:
    environment.pop("POSTGRES_PASSWORD")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "alta_projects.main", env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()

    assert process.returncode == 2
    assert b"POSTGRES_PASSWORD" in errors


async def test_migrating_twice_is_fine(environment: dict[str, str]) -> None:
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "alta_projects.migrate", env=environment)
        assert await process.wait() == 0
