"""The local engine: faster-whisper in killable worker processes."""

import time
from dataclasses import dataclass
from importlib.metadata import version

import structlog

from alta_common.contracts.results import EngineInfo
from alta_common.engines.port import SourceFile
from alta_common.workers.errors import WorkerCrashedError
from alta_common.workers.pool import WorkerPool
from alta_transcription.engines.confidence import doubting_repetitions, warnings_of
from alta_transcription.engines.engine import Progress, SpeechOptions, Transcription
from alta_transcription.engines.kept import KeptTranscript
from alta_transcription.engines.whisper_config import WhisperConfig
from alta_transcription.engines.whisper_jobs import Heard, Seam, Summary, transcribe_task
from alta_transcription.engines.worker_faults import worker_faults

log = structlog.get_logger()

NAME = "faster-whisper"


@dataclass(frozen=True)
class WhisperLimits:
    """How long a recording may be, and how long transcribing it may take, a second try included.

    What is transcribed is kept once in `keep_every_seconds`, at the end of a chunk.
    """

    max_audio_seconds: float
    job_seconds: float
    keep_every_seconds: float = 30.0


class WhisperEngine:
    """Transcribes with a Whisper model. The pool is started, warm with the same `config`, and closed by its owner."""

    def __init__(self, pool: WorkerPool, config: WhisperConfig, limits: WhisperLimits) -> None:
        self._pool = pool
        self._config = config
        self._limits = limits
        self._info = EngineInfo(
            name=NAME, version=f"{version('faster-whisper')}+{config.model_name}", config_hash=config.hash
        )

    async def transcribe(self, source: SourceFile, options: SpeechOptions, progress: Progress) -> Transcription:
        """Return what is said in `source`. Raises `EngineError`; cancelling it kills the worker.

        It begins where an earlier call with the same `options.checkpoint` came to.
        """
        deadline = time.monotonic() + self._limits.job_seconds
        with worker_faults(NAME):
            kept = await KeptTranscript.load(options.checkpoint, self._config.hash, self._limits.keep_every_seconds)
            try:
                summary = await self._heard_out(source, options, progress, kept, deadline)
            finally:
                await kept.settle()
            segments = doubting_repetitions(kept.segments)
            return Transcription(
                engine=self._info,
                language=summary.language,
                duration_ms=summary.duration_ms,
                segments=segments,
                warnings=warnings_of(
                    segments,
                    other_language=summary.other_language,
                    damaged=summary.damaged,
                    voiced_seconds=summary.voiced_seconds,
                ),
            )

    async def abandon(self, options: SpeechOptions) -> None:
        """Do nothing: all work is done here, and ends with the call."""

    async def check(self) -> None:
        """Raise `UnavailableError` while no worker is warm."""
        await self._pool.check()

    async def _heard_out(
        self, source: SourceFile, options: SpeechOptions, progress: Progress, kept: KeptTranscript, deadline: float
    ) -> Summary:
        def hear(heard: Heard) -> None:
            kept.hear(heard)
            progress(heard.done_seconds, heard.total_seconds)

        crashed_at: Seam | None = None
        while True:
            task = transcribe_task(
                self._config, source.path, options.language, self._limits.max_audio_seconds, kept.seam
            )
            seconds = max(0.001, deadline - time.monotonic())
            try:
                summary: Summary = await self._pool.run(task, on_progress=hear, seconds=seconds)
            except WorkerCrashedError as error:
                # Once more at each place: what killed the worker may have been somebody else's hunger for memory.
                if crashed_at == kept.seam:
                    raise
                crashed_at = kept.seam
                log.warning("engine.worker_crashed", engine=NAME, error=error.detail, at_sample=crashed_at.sample)
                kept.back_to_seam()
            else:
                return summary
