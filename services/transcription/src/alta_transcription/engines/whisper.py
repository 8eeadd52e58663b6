"""The local engine: faster-whisper in killable worker processes."""

import time
from dataclasses import dataclass
from importlib.metadata import version

import structlog

from alta_common.contracts.results import EngineInfo, Segment
from alta_common.engines.port import EngineError, SourceFile
from alta_common.errors import UnavailableError
from alta_common.workers.errors import WorkerCrashedError, WorkerMemoryError, WorkerTimeoutError
from alta_common.workers.pool import WorkerPool
from alta_transcription.engines.confidence import warnings_of
from alta_transcription.engines.engine import Progress, SpeechOptions, Transcription
from alta_transcription.engines.whisper_config import WhisperConfig
from alta_transcription.engines.whisper_jobs import Heard, Summary, transcribe_task

log = structlog.get_logger()

NAME = "faster-whisper"


@dataclass(frozen=True)
class WhisperLimits:
    """How long a recording may be, and how long transcribing it may take, a second try included."""

    max_audio_seconds: float
    job_seconds: float


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
        """Return what is said in `source`. Raises `EngineError`; cancelling it kills the worker."""
        deadline = time.monotonic() + self._limits.job_seconds
        try:
            return await self._run_twice(source, options, progress, deadline)
        except WorkerMemoryError as error:
            raise EngineError("out_of_memory", "The recording needs more memory than is allowed.") from error
        except WorkerCrashedError as error:
            detail = "Our engine broke down twice at this recording."
            raise EngineError("engine_crashed", detail, retryable=True) from error
        except WorkerTimeoutError as error:
            raise EngineError("timeout", "Transcribing the recording took longer than is allowed.") from error
        except (EngineError, UnavailableError):
            raise
        except Exception as error:
            log.exception("engine.failed", engine=NAME)
            raise EngineError("engine_failed", "Our engine failed on this recording.") from error

    async def abandon(self, options: SpeechOptions) -> None:
        """Do nothing: all work is done here, and ends with the call."""

    async def check(self) -> None:
        """Raise `UnavailableError` while no worker is warm."""
        await self._pool.check()

    async def _run_twice(
        self, source: SourceFile, options: SpeechOptions, progress: Progress, deadline: float
    ) -> Transcription:
        try:
            return await self._run(source, options, progress, deadline)
        except WorkerCrashedError as error:
            # Once more: what killed the worker may have been somebody else's hunger for memory.
            log.warning("engine.worker_crashed", engine=NAME, error=error.detail)
            return await self._run(source, options, progress, deadline)

    async def _run(
        self, source: SourceFile, options: SpeechOptions, progress: Progress, deadline: float
    ) -> Transcription:
        segments: list[Segment] = []

        def hear(heard: Heard) -> None:
            segments.extend(heard.segments)
            progress(heard.done_seconds, heard.total_seconds)

        task = transcribe_task(self._config, source.path, options.language, self._limits.max_audio_seconds)
        seconds = max(0.001, deadline - time.monotonic())
        summary: Summary = await self._pool.run(task, on_progress=hear, seconds=seconds)
        return Transcription(
            engine=self._info,
            language=summary.language,
            duration_ms=summary.duration_ms,
            segments=segments,
            warnings=warnings_of(segments, other_language=summary.other_language, damaged=summary.damaged),
        )
