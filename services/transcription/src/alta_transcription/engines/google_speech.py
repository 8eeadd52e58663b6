"""Google Speech-to-Text v2: short recordings in one call, long ones through Cloud Storage."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import structlog

from alta_common.contracts.results import EngineInfo
from alta_common.engines.checkpoints import Checkpoint
from alta_common.engines.port import InputError, SourceFile
from alta_common.workers.errors import WorkerCrashedError
from alta_common.workers.pool import WorkerPool
from alta_common.workers.wire import Task
from alta_transcription import metrics
from alta_transcription.engines.confidence import warnings_of
from alta_transcription.engines.engine import Progress, SpeechOptions, Transcription
from alta_transcription.engines.google_speech_api import SpeechApi
from alta_transcription.engines.google_speech_audio import PreparedAudio, prepare_task
from alta_transcription.engines.google_speech_batch import BatchRecognizer, Percent, results_of
from alta_transcription.engines.google_speech_results import language_of, segments_of
from alta_transcription.engines.worker_faults import worker_faults

log = structlog.get_logger()

NAME = "google-speech"

LONGEST_SECONDS = 8 * 3600.0
"""What Google takes in one file."""

_KEPT = "recording"
# Google may refuse an original that we, and players, read.
_REFUSED_ENCODING = {"corrupt_file", "invalid_input"}


@dataclass(frozen=True)
class GoogleSpeechLimits:
    """What is asked of Google, and how. The defaults are Google's limits for a call with the sound in it."""

    max_audio_seconds: float = LONGEST_SECONDS
    prepare_seconds: float = 1200.0
    """How long decoding may take here."""
    inline_bytes: int = 10_000_000
    inline_seconds: float = 59.5
    """Half a second less than a minute: what encoders pad, Google counts as well."""


class GoogleSpeechEngine:
    """Transcribes with Google. `pool` decodes; it and the API are started and closed by their owner."""

    def __init__(self, api: SpeechApi, batch: BatchRecognizer, pool: WorkerPool, limits: GoogleSpeechLimits) -> None:
        self._api = api
        self._batch = batch
        self._pool = pool
        self._limits = limits
        self._info = EngineInfo(name=NAME, version=api.config.model, config_hash=api.config.hash)

    async def transcribe(self, source: SourceFile, options: SpeechOptions, progress: Progress) -> Transcription:
        """Return what is said in `source`.

        Raises `EngineError`, and `UnavailableError` when Google or the bucket do not answer. Being cancelled leaves an
        operation at Google running, for the next call with the same `options.operations`.
        """
        audio = await self._prepare(source.path, progress, separate=options.channels == "separate")
        try:
            # Silence would cost as much as speech.
            results = [] if audio.silent else await self._hear(source.path, audio, options, progress)
        finally:
            await asyncio.to_thread(audio.flac.unlink, missing_ok=True)
        return await self._transcription(results, _Recording.of(audio))

    async def resume(self, options: SpeechOptions, progress: Progress) -> Transcription | None:
        """Return what Google hears in a recording that an earlier call has given to it; None when it has to be given.

        The file is not needed: what is to be known of it was kept. Raises as `transcribe`.
        """
        recording = await _Recording.kept(options.checkpoint)
        if recording is None:
            return None
        with self._api.answering_for(options.language):
            result = await self._batch.resume(options.operations, recording.percent(progress))
        return None if result is None else await self._transcription(self._accounted(result), recording)

    async def abandon(self, options: SpeechOptions) -> None:
        """End the operation that works on the request, and remove what it reads."""
        await self._batch.abandon(options.operations)

    async def check(self) -> None:
        """Raise `UnavailableError` while no worker is warm, the connection is broken or Google refuses our calls."""
        await self._pool.check()
        self._api.check()

    async def close(self) -> None:
        """Close the connection to Google."""
        await self._api.close()

    async def _prepare(self, path: Path, progress: Progress, *, separate: bool) -> PreparedAudio:
        longest = min(self._limits.max_audio_seconds, LONGEST_SECONDS)
        task = prepare_task(path, path.with_name("google.flac"), longest, separate=separate)
        with worker_faults(NAME):
            try:
                audio = await self._decoded(task, progress)
            except WorkerCrashedError as error:
                # Once may be bad luck (memory was short, somebody killed it); twice is the recording.
                log.warning("engine.worker_crashed", engine=NAME, error=error.detail)
                audio = await self._decoded(task, progress)
        progress(0, audio.duration_ms / 1000)
        return audio

    async def _decoded(self, task: Task, progress: Progress) -> PreparedAudio:
        audio: PreparedAudio = await self._pool.run(
            task, on_progress=lambda seconds: progress(0, seconds), seconds=self._limits.prepare_seconds
        )
        return audio

    async def _hear(
        self, path: Path, audio: PreparedAudio, options: SpeechOptions, progress: Progress
    ) -> Sequence[Any]:
        """Return Google's results, raw protocol buffers."""
        with self._api.answering_for(options.language):
            files = await asyncio.to_thread(self._inline_files, path, audio)
            if files:
                return await self._hear_at_once(files, options, separate=audio.is_separate)
            recording = _Recording.of(audio)
            await recording.keep(options.checkpoint)
            result = await self._batch.recognize(
                audio.flac,
                options.language,
                options.operations,
                recording.percent(progress),
                separate=audio.is_separate,
            )
            return self._accounted(result)

    async def _hear_at_once(self, files: Sequence[Path], options: SpeechOptions, *, separate: bool) -> Sequence[Any]:
        file, *others = files
        try:
            content = await asyncio.to_thread(file.read_bytes)
            response = await self._api.recognize(content, options.language, separate=separate)
        except InputError as error:
            if not others or error.code not in _REFUSED_ENCODING:
                raise
            log.warning("google.original_refused", error=error.detail)
            return await self._hear_at_once(others, options, separate=separate)
        self._account(response.metadata)
        return list(response.results)

    def _inline_files(self, path: Path, audio: PreparedAudio) -> list[Path]:
        """Return what fits into a call: the original where Google takes it, and the FLAC; none of long recordings."""
        if audio.duration_ms > self._limits.inline_seconds * 1000:
            return []
        files = [path, audio.flac] if audio.taken_as_it_is else [audio.flac]
        return [file for file in files if file.stat().st_size <= self._limits.inline_bytes]

    async def _transcription(self, results: Sequence[Any], recording: "_Recording") -> Transcription:
        segments = await asyncio.to_thread(segments_of, results, recording.duration_ms, separate=recording.is_separate)
        return Transcription(
            engine=self._info,
            language=language_of(results),
            duration_ms=recording.duration_ms,
            segments=segments,
            warnings=warnings_of(segments, other_language=False, damaged=recording.damaged),
        )

    def _accounted(self, result: Any) -> Sequence[Any]:
        self._account(result.metadata)
        return results_of(result)

    def _account(self, metadata: Any) -> None:
        billed = metadata.total_billed_duration.ToMilliseconds() / 1000
        metrics.google_billed_seconds.labels(self._api.config.model).inc(billed)


@dataclass(frozen=True)
class _Recording:
    """What is to be known of a recording that Google hears: kept, so that it is not decoded again to wait for that."""

    duration_ms: int
    damaged: bool
    is_separate: bool = False

    @classmethod
    def of(cls, audio: PreparedAudio) -> "_Recording":
        return cls(audio.duration_ms, audio.damaged, audio.is_separate)

    @classmethod
    async def kept(cls, checkpoint: Checkpoint) -> "_Recording | None":
        content = (await checkpoint.load()).get(_KEPT)
        if content is None:
            return None
        try:
            return cls(**orjson.loads(content))
        except (TypeError, ValueError) as error:
            log.warning("google.recording_unusable", error=str(error)[:200])
            return None

    async def keep(self, checkpoint: Checkpoint) -> None:
        await checkpoint.save(_KEPT, orjson.dumps(self))

    def percent(self, progress: Progress) -> Percent:
        """Return what tells `progress` in seconds."""
        seconds = self.duration_ms / 1000
        return lambda percent: progress(seconds * percent / 100, seconds)
