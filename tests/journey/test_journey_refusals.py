"""What is refused at the gateway, and what refusing costs."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Self

import httpx
import pytest

from alta_common.testing import eventually
from alta_stack.client import AltaClient
from journey_stack import SAMPLES, Stack

pytestmark = pytest.mark.journey

MIB = 1024 * 1024
BOUNDARY = "journey"
MEMORY_ALLOWANCE = 60 * MIB


def part(name: str, content_type: str) -> bytes:
    """Return the head of a multipart body with one file."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
    return f"{head}Content-Type: {content_type}\r\n\r\n".encode()


async def body(head: bytes, start: bytes, size: int) -> AsyncIterator[bytes]:
    """Yield a multipart body whose file begins with `start`, is `size` bytes long and never lies whole in memory."""
    chunk = bytes(256 * 1024)
    yield head + start
    sent = len(start)
    while sent < size:
        step = min(len(chunk), size - sent)
        yield chunk[:step]
        sent += step
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def wav_header(data_bytes: int, *, rate: int = 192_000, channels: int = 8, bits: int = 32) -> bytes:
    """Return the header of a PCM recording; with many channels, a large file is a short recording."""
    block = channels * bits // 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * block, block, bits)
    return b"RIFF" + struct.pack("<I", 36 + data_bytes) + b"WAVE" + form + b"data" + struct.pack("<I", data_bytes)


class Peak:
    """The highest resident memory of some services while a block runs, above what they had before."""

    def __init__(self, stack: Stack, *services: str) -> None:
        self._stack = stack
        self._idle = {service: stack.resident_bytes(service) for service in services}
        self.grown = dict.fromkeys(services, 0)

    async def __aenter__(self) -> Self:
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watcher.cancel()
        with suppress(asyncio.CancelledError):
            await self._watcher

    async def _watch(self) -> None:
        while True:
            for service, idle in self._idle.items():
                grown = self._stack.resident_bytes(service) - idle
                self.grown[service] = max(self.grown[service], grown)
            await asyncio.sleep(0.02)


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    """Check that an answer is a problem (RFC 9457) with everything that API.md promises."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert {"type", "title", "detail", "instance", "trace_id"} <= problem.keys()


async def test_who_is_not_signed_in_gets_401(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.gateway, timeout=60) as anybody:
        answer = await anybody.get("/v1/projects")

    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert_problem(answer, 401, answer.json()["code"])


async def test_another_users_project_is_not_there(stack: Stack, client: AltaClient) -> None:
    project = await client.create_project("Private")

    async with AltaClient(stack.gateway, stack.mail) as stranger:
        await stranger.register_and_sign_in()
        answer = await stranger.send("GET", f"/v1/projects/{project['id']}")

    assert_problem(answer, 404, "not_found")


async def test_a_signed_out_token_stops_working_at_once(stack: Stack) -> None:
    async with AltaClient(stack.gateway, stack.mail) as client:
        await client.register_and_sign_in()
        assert (await client.send("GET", "/v1/projects")).status_code == 200

        assert (await client.send("POST", "/v1/auth/logout")).status_code == 204
        answer = await client.send("GET", "/v1/projects")

    assert_problem(answer, 401, answer.json()["code"])


async def test_a_document_of_200_mib_is_refused_without_being_read(stack: Stack, client: AltaClient) -> None:
    project = await client.create_project("Too large")
    head = part("large.pdf", "application/pdf")
    size = 200 * MIB

    async with Peak(stack, "gateway", "projects") as peak:
        answer = await client.send(
            "POST",
            f"/v1/projects/{project['id']}/documents",
            content=body(head, b"%PDF-1.7\n", size),
            headers={
                "content-type": f"multipart/form-data; boundary={BOUNDARY}",
                "content-length": str(size + len(head) + 15),
            },
        )

    assert_problem(answer, 413, "payload_too_large")
    assert max(peak.grown.values()) < MEMORY_ALLOWANCE


async def test_a_voice_sample_of_1_gib_streams_through(stack: Stack, client: AltaClient) -> None:
    project = await client.create_project("One gibibyte")
    size = 1024 * MIB
    head = part("long.wav", "audio/wav")

    async with Peak(stack, "gateway", "projects") as peak:
        answer = await client.send(
            "POST",
            f"/v1/projects/{project['id']}/voice-samples",
            content=body(head, wav_header(size - 44), size),
            headers={"content-type": f"multipart/form-data; boundary={BOUNDARY}"},
            timeout=300,
        )

    assert answer.status_code == 202, answer.text
    assert answer.json()["size_bytes"] == size
    print({service: f"{grown / MIB:.0f} MiB above idle" for service, grown in peak.grown.items()})
    assert max(peak.grown.values()) < MEMORY_ALLOWANCE
    assert (await client.send("DELETE", f"/v1/voice-samples/{answer.json()['id']}")).status_code == 204


async def test_a_text_named_pdf_is_refused(client: AltaClient) -> None:
    project = await client.create_project("Lies")

    answer = await client.send(
        "POST",
        f"/v1/projects/{project['id']}/documents",
        files={"file": ("report.pdf", b"Not a PDF, whatever the name says.", "application/pdf")},
    )

    assert_problem(answer, 415, "unsupported_media_type")


async def test_an_idempotency_key_belongs_to_one_request(client: AltaClient) -> None:
    key = {"Idempotency-Key": "journey-1"}

    first = await client.send("POST", "/v1/projects", json={"name": "Once"}, headers=key)
    again = await client.send("POST", "/v1/projects", json={"name": "Once"}, headers=key)
    other = await client.send("POST", "/v1/projects", json={"name": "Twice"}, headers=key)

    assert first.status_code == again.status_code == 201
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert_problem(other, 422, "idempotency_key_reused")


async def test_the_same_bytes_are_one_document(client: AltaClient) -> None:
    project = await client.create_project("Twins")

    first = await client.upload(project["id"], SAMPLES / "invoice-photo.jpg")
    again = await client.send(
        "POST",
        f"/v1/projects/{project['id']}/documents",
        files={"file": ("copy.jpg", (SAMPLES / "invoice-photo.jpg").read_bytes())},
    )

    assert again.status_code == 200
    assert again.json()["id"] == first.id
    assert again.headers["content-location"] == f"/v1/documents/{first.id}"


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/openapi.json", "/docs"])
async def test_what_needs_no_account_answers_anybody(stack: Stack, path: str) -> None:
    async with httpx.AsyncClient(base_url=stack.gateway, timeout=60) as anybody:

        async def well() -> httpx.Response:
            return (await anybody.get(path)).raise_for_status()

        # The document is not whole while a service is still writing its first one.
        answer = await eventually(well)

    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
