"""The engine in its killable worker processes."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from alta_common.contracts.projects import Channels
from alta_common.engines.port import EngineError, SourceFile
from alta_common.workers.pool import WorkerLimits, WorkerPool
from alta_transcription.engines.audio import SAMPLE_RATE
from alta_transcription.engines.engine import SpeechOptions, Transcription
from alta_transcription.engines.whisper import WhisperEngine, WhisperLimits
from alta_transcription.engines.whisper_config import WhisperConfig
from alta_transcription.engines.whisper_jobs import warm_up_task

CONFIG = WhisperConfig("tiny.en")
GIB = 1 << 30


class Engine:
    def __init__(self, max_audio_seconds: float = 14400, job_seconds: float = 200, step_seconds: float = 100) -> None:
        self.restarts: list[str] = []
        limits = WorkerLimits(job_seconds=job_seconds, step_seconds=step_seconds, memory_bytes=3 * GIB)
        self.pool = WorkerPool("stt", 1, limits, warm_up=warm_up_task(CONFIG), on_restart=self.restarts.append)
        self.engine = WhisperEngine(
            self.pool, CONFIG, WhisperLimits(max_audio_seconds, job_seconds, keep_every_seconds=0.0)
        )

    async def text_of(self, path: Path, progress: Callable[[float, float], None] = lambda *_: None) -> str:
        return (await self.engine.transcribe(SourceFile(path, "audio/x"), SpeechOptions(), progress)).text

    def kill_worker(self) -> None:
        os.kill(self.pool.pids[0], signal.SIGKILL)

    def peak_bytes(self) -> int:
        status = Path(f"/proc/{self.pool.pids[0]}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]


class Parts:
    """A checkpoint in memory."""

    def __init__(self, parts: dict[str, bytes] | None = None) -> None:
        self.parts = parts or {}
        self.saved = asyncio.Event()

    async def load(self) -> dict[str, bytes]:
        return dict(self.parts)

    async def save(self, name: str, content: bytes) -> None:
        self.parts[name] = content
        self.saved.set()


Start = Callable[..., Awaitable[Engine]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    engines: list[Engine] = []

    async def begin(**options: float) -> Engine:
        engine = Engine(**options)
        engines.append(engine)
        await engine.pool.start()
        return engine

    yield begin
    for engine in engines:
        await engine.pool.close()


async def test_a_worker_killed_in_the_middle_costs_a_second_try(start: Start, note: Path) -> None:
    engine = await start()
    kills = 0

    def kill_once(_done: float, _total: float) -> None:
        nonlocal kills
        if not kills:
            kills = 1
            engine.kill_worker()

    text = await engine.text_of(note, kill_once)

    assert text.lower().count("good morning") == 1
    assert engine.restarts == ["crashed"]


@pytest.fixture
def two_chunks(tmp_path: Path, speech, encode) -> Path:
    """The note, silence up to the end of the first chunk (two minutes), and the note again."""
    silence = np.zeros(120 * SAMPLE_RATE, np.float32)
    return encode(tmp_path / "long.flac", "flac", "flac", samples=[speech, silence, speech])


async def test_a_stopped_delivery_costs_what_was_not_kept(start: Start, two_chunks: Path) -> None:
    """The first delivery is stopped in the middle; the second, in another process, begins there."""
    parts = Parts()
    source, options = SourceFile(two_chunks, "audio/x"), SpeechOptions(checkpoint=parts)
    engine = await start()
    work = asyncio.create_task(engine.engine.transcribe(source, options, lambda *_: None))
    await parts.saved.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    # What is kept is the first chunk only, even where the second was done before it could be stopped.
    first = dict(sorted(parts.parts.items())[:1])
    done: list[float] = []

    found = await engine.engine.transcribe(
        source, SpeechOptions(checkpoint=Parts(first)), lambda seconds, _total: done.append(seconds)
    )

    assert min(done) >= 119
    assert found.text.lower().count("good morning") == 2
    assert [segment.start_ms for segment in found.segments] == sorted(s.start_ms for s in found.segments)
    assert found.duration_ms == pytest.approx(152_400, abs=500)


@pytest.fixture
def telephone(tmp_path: Path, speech, call, wav) -> Path:
    """Two sides that talk at the same time."""
    sides = np.zeros((call.size, 2), np.float32)
    sides[: speech.size, 0], sides[:, 1] = speech, call
    (tmp_path / "call.wav").write_bytes(wav((sides * 32767).astype("<i2").tobytes(), channels=2))
    return tmp_path / "call.wav"


async def test_each_channel_is_a_speaker_when_asked(
    start: Start, telephone: Path, note_text: str, call_text: str, word_errors
) -> None:
    parts, done = Parts(), list[tuple[float, float]]()
    engine = await start()

    async def hear(channels: Channels, checkpoint: Parts) -> Transcription:
        options = SpeechOptions(checkpoint=checkpoint, channels=channels)
        source = SourceFile(telephone, "audio/x")
        return await engine.engine.transcribe(source, options, lambda *seconds: done.append(seconds))

    found = await hear("separate", parts)

    for speaker, text in (("channel 1", note_text), ("channel 2", call_text)):
        said = " ".join(segment.text for segment in found.segments if segment.speaker == speaker)
        wrong, words = word_errors(text, said)
        assert wrong / words < 0.25, said
    assert {segment.speaker for segment in found.segments} == {"channel 1", "channel 2"}
    assert [s.start_ms for s in found.segments] == sorted(s.start_ms for s in found.segments)
    assert (found.duration_ms, found.language, found.warnings) == (pytest.approx(35_430, abs=100), "en", [])
    assert [seconds for seconds, _ in done] == sorted(seconds for seconds, _ in done)
    assert done[-1] == (pytest.approx(35.43, abs=0.1), pytest.approx(35.43, abs=0.1))

    # What is kept is kept of each channel, and only for those who ask for channels.
    done.clear()
    assert (await hear("separate", parts)).segments == found.segments
    assert min(seconds for seconds, _ in done) > 17
    mixed = await hear("mixed", parts)
    assert {segment.speaker for segment in mixed.segments} == {None}
    assert mixed.engine.config_hash != found.engine.config_hash


async def test_a_recording_of_one_channel_has_no_speakers(start: Start, note: Path) -> None:
    engine = await start()

    found = await engine.engine.transcribe(
        SourceFile(note, "audio/x"), SpeechOptions(channels="separate"), lambda *_: None
    )

    assert "good morning" in found.text.lower()
    assert {segment.speaker for segment in found.segments} == {None}


async def test_a_worker_that_dies_late_goes_on_from_its_last_chunk(start: Start, two_chunks: Path) -> None:
    engine = await start()
    done: list[float] = []
    kills = 0

    def kill_late(seconds: float, _total: float) -> None:
        nonlocal kills
        done.append(seconds)
        if seconds >= 119 and not kills:
            kills = 1
            engine.kill_worker()

    text = await engine.text_of(two_chunks, kill_late)

    assert engine.restarts == ["crashed"]
    assert text.lower().count("good morning") == 2
    assert done == sorted(done)


async def test_a_recording_that_kills_every_worker_is_given_up(start: Start, note: Path) -> None:
    engine = await start()

    with pytest.raises(EngineError) as failure:
        await engine.text_of(note, lambda *_: engine.kill_worker())

    assert (failure.value.code, failure.value.retryable) == ("engine_crashed", True)
    await engine.text_of(note)
    await engine.engine.check()


async def test_a_recording_that_takes_too_long_is_stopped(start: Start, tmp_path: Path, speech, encode) -> None:
    path = encode(tmp_path / "long.flac", "flac", "flac", samples=[speech] * 30)
    engine = await start(job_seconds=2)

    with pytest.raises(EngineError) as failure:
        await engine.text_of(path)

    assert failure.value.code == "timeout"
    assert engine.restarts == ["timeout"]


async def test_a_worker_that_shows_no_progress_is_stopped(start: Start, note: Path) -> None:
    engine = await start(step_seconds=100)
    stopped = asyncio.Event()

    def freeze(_done: float, _total: float) -> None:
        if not stopped.is_set():
            stopped.set()
            os.kill(engine.pool.pids[0], signal.SIGSTOP)

    engine.pool._limits = WorkerLimits(job_seconds=200, step_seconds=1.5)

    with pytest.raises(EngineError) as failure:
        await engine.text_of(note, freeze)

    assert failure.value.code == "timeout"
    assert engine.restarts == ["timeout"]


async def test_cancelling_stops_the_work_at_once(start: Start, tmp_path: Path, speech, encode) -> None:
    path = encode(tmp_path / "long.flac", "flac", "flac", samples=[speech] * 30)
    engine = await start()
    begun = asyncio.Event()
    work = asyncio.create_task(engine.text_of(path, lambda *_: begun.set()))
    await begun.wait()

    work.cancel()

    with pytest.raises(asyncio.CancelledError):
        await work
    assert engine.restarts == ["cancelled"]


async def test_ten_hours_of_silence_need_no_more_memory_than_a_minute(
    start: Start, tmp_path: Path, silent_flac
) -> None:
    engine = await start(max_audio_seconds=2 * 3600)
    hours, half = silent_flac(tmp_path / "hours.flac", 10), silent_flac(tmp_path / "half.flac", 0.5)
    assert hours.stat().st_size < 5_000_000

    with pytest.raises(EngineError) as refusal:
        await engine.text_of(hours)
    assert await engine.text_of(half) == ""

    assert refusal.value.code == "audio_too_long"
    assert refusal.value.detail == "The recording is longer than the 2 hours that are allowed."
    assert engine.peak_bytes() < 450_000_000
    assert engine.restarts == []


async def test_the_event_loop_stays_free(start: Start, tmp_path: Path, speech, encode) -> None:
    path = encode(
        tmp_path / "note.ogg", "ogg", "libopus", samples=[speech, np.zeros(SAMPLE_RATE, np.float32)], rate=48000
    )
    engine = await start()
    turns = 0

    async def watch() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    watching = asyncio.create_task(watch())
    await engine.text_of(path)
    watching.cancel()

    assert turns > 10
