"""The process as it is deployed: a request goes in through RabbitMQ, events and a stored result come out."""

import asyncio
import json
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from alta_common.contracts.projects import VoiceTranscriptionCancelled
from alta_common.contracts.results import TranscriptResult
from alta_common.messaging.topology import declare_topology
from alta_common.storage.filesystem import FilesystemObjectStorage
from alta_common.testing import eventually
from alta_common.testing.messages import Heard, listening, publish
from alta_transcription.engines.audio import SAMPLE_RATE

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Process:
    def __init__(self, folder: Path, rabbitmq_url: str) -> None:
        self._folder = folder
        self.storage = FilesystemObjectStorage(folder / "storage")
        self._log = folder / "log"
        self._environment = {
            "RABBITMQ_URL": rabbitmq_url,
            "STORAGE_DIR": str(folder / "storage"),
            "INTERNAL_PORT": "0",
            "DRAIN_SECONDS": "120",
            "TRANSCRIPTION_KEEP_SECONDS": "0",
            "PATH": "/usr/bin:/bin",
        }
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        command = (sys.executable, "-m", "alta_transcription.worker")
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*command, env=self._environment, stdout=log, stderr=log)
        await eventually(lambda: self.answers("/health/ready"), 120)

    def lines(self) -> list[dict[str, object]]:
        found = []
        for line in self._log.read_text().splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
        return found

    def logged(self, event: str) -> list[dict[str, object]]:
        return [line for line in self.lines() if line.get("event") == event]

    def kept(self) -> list[Path]:
        """The parts that are kept of unfinished work."""
        return list(self._folder.glob("storage/results/*/*.part-*"))

    def answers(self, path: str) -> str:
        (port,) = [line["port"] for line in self.logged("internal.listening")][-1:]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.read().decode()

    async def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.process.wait()


@pytest.fixture
async def process(tmp_path: Path, rabbitmq_url: str) -> AsyncIterator[Process]:
    await declare_topology(rabbitmq_url)
    process = Process(tmp_path, rabbitmq_url)
    await process.start()
    yield process
    await process.stop(signal.SIGKILL)


@pytest.fixture
async def answers(process: Process, rabbitmq_url: str) -> AsyncIterator[Heard]:
    async with listening(rabbitmq_url, "transcription.events") as heard:
        yield heard


@pytest.fixture
def note_bytes(note: Path) -> bytes:
    return note.read_bytes()


def of(answers: Heard, kind: str) -> list[dict]:
    return [envelope for envelope in answers.envelopes if envelope["type"] == f"VOICE_TRANSCRIPTION_{kind}"]


async def test_a_recording_is_transcribed_and_the_same_request_again_is_the_same_answer(
    process: Process, answers: Heard, rabbitmq_url: str, a_request, note_bytes: bytes
) -> None:
    request = a_request()
    await process.storage.put_bytes(request.object_key, note_bytes, "audio/wav")

    traceparent = f"00-{TRACE}-b7ad6b7169203331-01"
    await publish(rabbitmq_url, request, correlation_id="req-1", traceparent=traceparent)
    await eventually(lambda: of(answers, "COMPLETED"), 120)
    await publish(rabbitmq_url, request)
    await eventually(lambda: len(of(answers, "COMPLETED")) == 2, 120)

    first, second = of(answers, "COMPLETED")
    assert first["id"] == second["id"]
    assert first["correlationid"] == "req-1"
    assert first["traceparent"].split("-")[1] == TRACE
    data = first["data"]
    result = TranscriptResult.model_validate_json(await process.storage.read(data["result_key"]))
    assert "site visit" in result.text
    assert result.duration_ms == data["duration_ms"] == 16190
    assert (data["engine_name"], data["language"], data["warnings"]) == ("faster-whisper", "en", [])
    assert data["engine_seconds"] > 0
    progress = of(answers, "PROGRESSED")
    assert progress[0]["data"] | {"done": 0, "total": 0, "unit": "second"} == progress[0]["data"]
    assert answers.types.index("VOICE_TRANSCRIPTION_PROGRESSED") < answers.types.index("VOICE_TRANSCRIPTION_COMPLETED")

    for sample in (
        'alta_engine_seconds_per_unit_count{engine="faster-whisper"} 1.0',
        'alta_transcription_jobs_total{outcome="republished"} 1.0',
    ):
        await eventually(lambda sample=sample: sample in process.answers("/metrics"), 120)
    assert await process.stop() == 0
    assert not [line for line in process.lines() if line.get("level") == "error"]


async def test_a_file_at_fault_and_the_one_behind_it(
    process: Process, answers: Heard, rabbitmq_url: str, a_request, note_bytes: bytes
) -> None:
    bad, good = a_request(), a_request()
    await process.storage.put_bytes(bad.object_key, b"v=0\r\nm=audio 5004 RTP/AVP 0\r\n", "audio/wav")
    await process.storage.put_bytes(good.object_key, note_bytes, "audio/wav")

    await publish(rabbitmq_url, bad)
    await publish(rabbitmq_url, good)
    await eventually(lambda: of(answers, "FAILED") and of(answers, "COMPLETED"), 120)

    (failed,) = of(answers, "FAILED")
    assert failed["data"]["code"] == "unsupported_media_type"
    assert failed["data"]["retryable"] is False
    assert failed["data"]["voice_sample_id"] == str(bad.voice_sample_id)


async def test_a_killed_service_leaves_the_work_to_the_next_and_sigterm_lets_it_finish(
    process: Process, answers: Heard, rabbitmq_url: str, a_request, tmp_path: Path, speech, encode
) -> None:
    request = a_request()
    # The first chunk, of five minutes at the most, is done soon; what is behind it takes a while.
    silence = np.zeros(300 * SAMPLE_RATE, np.float32)
    path = encode(tmp_path / "long.flac", "flac", "flac", samples=[speech, silence, *[speech] * 6])
    await process.storage.put_bytes(request.object_key, path.read_bytes(), "audio/flac")
    await publish(rabbitmq_url, request)
    await eventually(process.kept, 120)

    assert await process.stop(signal.SIGKILL) == -signal.SIGKILL
    assert not of(answers, "COMPLETED")
    await process.start()
    await eventually(lambda: process.logged("transcription.taken_up"), 120)

    assert await process.stop(signal.SIGTERM) == 0
    await eventually(lambda: of(answers, "COMPLETED"), 120)
    (completed,) = of(answers, "COMPLETED")
    result = TranscriptResult.model_validate_json(await process.storage.read(completed["data"]["result_key"]))
    assert result.text.lower().count("good morning") == 7
    assert process.kept() == []


async def test_a_cancelled_recording_makes_room_for_the_one_behind_it(
    process: Process, answers: Heard, rabbitmq_url: str, a_request, tmp_path: Path, speech, encode, note_bytes: bytes
) -> None:
    unwanted, behind = a_request(attempt=2), a_request()
    path = encode(tmp_path / "long.flac", "flac", "flac", samples=[speech] * 100)
    await process.storage.put_bytes(unwanted.object_key, path.read_bytes(), "audio/flac")
    await process.storage.put_bytes(behind.object_key, note_bytes, "audio/wav")
    await publish(rabbitmq_url, unwanted)
    await publish(rabbitmq_url, behind)
    # The first step is told before a worker has the recording, the length by the worker.
    await eventually(lambda: [step for step in of(answers, "PROGRESSED") if step["data"]["total"]], 120)

    await publish(
        rabbitmq_url,
        VoiceTranscriptionCancelled(
            voice_sample_id=unwanted.voice_sample_id, project_id=unwanted.project_id, attempt=2, reason="deleted"
        ),
    )
    await eventually(lambda: of(answers, "COMPLETED"), 120)

    assert [envelope["data"]["voice_sample_id"] for envelope in of(answers, "COMPLETED")] == [
        str(behind.voice_sample_id)
    ]
    assert of(answers, "FAILED") == []
    for sample in (
        'alta_transcription_jobs_total{outcome="cancelled"} 1.0',
        'alta_transcription_worker_restarts_total{reason="cancelled"} 1.0',
    ):
        await eventually(lambda sample=sample: sample in process.answers("/metrics"), 120)
