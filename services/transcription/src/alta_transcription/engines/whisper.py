"""The local engine: faster-whisper in killable worker processes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import structlog

from alta_common.contracts.projects import Channels
from alta_common.contracts.results import EngineInfo, Segment
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


@dataclass(frozen=True)
class HeardChannel:
    """A recording, or one channel of it, that was listened to to its end."""

    summary: Summary
    segments: list[Segment]

    def spoken_by(self, speaker: str) -> list[Segment]:
        """Return its segments as those of a speaker."""
        return [segment.model_copy(update={"speaker": speaker}) for segment in self.segments]


class WhisperEngine:
    """Transcribes with a Whisper model. The pool is started, warm with the same `config`, and closed by its owner."""

    def __init__(self, pool: WorkerPool, config: WhisperConfig, limits: WhisperLimits) -> None:
        self._pool = pool
        self._config = config
        self._limits = limits

    async def transcribe(self, source: SourceFile, options: SpeechOptions, progress: Progress) -> Transcription:
        """Return what is said in `source`. Raises `EngineError`; cancelling it kills the worker.

        It begins where an earlier call with the same `options.checkpoint` came to. Channels that are heard separately
        are listened to one after the other.
        """
        work = _Work(source, options, _ProgressOfChannels(progress), time.monotonic() + self._limits.job_seconds)
        with worker_faults(NAME):
            if options.channels == "mixed":
                return self._transcription([await self._channel(work, None)], options.channels)
            heard = [await self._channel(work, 0)]
            heard += [await self._channel(work, number) for number in range(1, heard[0].summary.channels)]
            return self._transcription(heard, options.channels)

    async def abandon(self, options: SpeechOptions) -> None:
        """Do nothing: all work is done here, and ends with the call."""

    async def check(self) -> None:
        """Raise `UnavailableError` while no worker is warm."""
        await self._pool.check()

    def _transcription(self, heard: Sequence[HeardChannel], channels: Channels) -> Transcription:
        summaries = [channel.summary for channel in heard]
        segments = _merged(heard)
        return Transcription(
            engine=EngineInfo(
                name=NAME,
                version=f"{version('faster-whisper')}+{self._config.model_name}",
                config_hash=self._config.hash_of(channels),
            ),
            # Of the channel on which most was said.
            language=max(summaries, key=lambda summary: summary.voiced_seconds).language,
            duration_ms=max(summary.duration_ms for summary in summaries),
            segments=segments,
            warnings=warnings_of(
                segments,
                other_language=summaries[0].other_language,
                damaged=any(summary.damaged for summary in summaries),
                voiced_seconds=sum(summary.voiced_seconds for summary in summaries),
            ),
        )

    async def _channel(self, work: "_Work", channel: int | None) -> HeardChannel:
        name = self._config.hash_of(work.options.channels)
        kept = await KeptTranscript.load(
            work.options.checkpoint,
            name if channel is None else f"{name}-{channel}",
            self._limits.keep_every_seconds,
        )
        try:
            summary = await self._heard_out(work, kept, channel)
        finally:
            await kept.settle()
        return HeardChannel(summary, doubting_repetitions(kept.segments))

    async def _heard_out(self, work: "_Work", kept: KeptTranscript, channel: int | None) -> Summary:
        def hear(heard: Heard) -> None:
            kept.hear(heard)
            work.progress.tell(channel or 0, heard)

        language, longest = work.options.language, self._limits.max_audio_seconds
        crashed_at: Seam | None = None
        while True:
            task = transcribe_task(self._config, work.source.path, language, longest, begin=kept.seam, channel=channel)
            seconds = max(0.001, work.deadline - time.monotonic())
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


class _ProgressOfChannels:
    """Tells of all channels of a recording as of one piece of work."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._total_seconds = 0.0

    def tell(self, channel: int, heard: Heard) -> None:
        # How long a recording is may have to be found out for each channel anew, from little to more.
        self._total_seconds = max(self._total_seconds, heard.total_seconds)
        done_seconds = (channel * self._total_seconds + heard.done_seconds) / heard.channels
        self._progress(done_seconds, self._total_seconds)


@dataclass(frozen=True)
class _Work:
    source: SourceFile
    options: SpeechOptions
    progress: _ProgressOfChannels
    deadline: float


def _merged(heard: Sequence[HeardChannel]) -> list[Segment]:
    """Return the segments of all channels in the order of their time; with several, the channel is the speaker."""
    if len(heard) == 1:
        return heard[0].segments
    spoken = [segment for number, one in enumerate(heard, 1) for segment in one.spoken_by(f"channel {number}")]
    return sorted(spoken, key=lambda segment: segment.start_ms)
