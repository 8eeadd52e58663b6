"""Transcribing a stored recording and telling what came of it."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from alta_common.contracts.projects import VoiceTranscriptionRequested
from alta_common.contracts.results import TranscriptResult
from alta_common.contracts.transcription import (
    VoiceTranscriptionCompleted,
    VoiceTranscriptionFailed,
    VoiceTranscriptionProgressed,
)
from alta_common.engines.port import EngineError
from alta_common.engines.progress import ProgressReporter, Publisher
from alta_common.engines.requests import downloaded, engine_for
from alta_common.engines.results import ResultStore
from alta_common.ids import derived_id
from alta_common.storage.object_storage import ObjectStorage, StoredObject
from alta_common.telemetry.context import span
from alta_common.telemetry.metrics import engine_seconds_per_unit, exemplar
from alta_transcription import metrics
from alta_transcription.engines.engine import SpeechEngine, SpeechOptions, Transcription

log = structlog.get_logger()

Answer = VoiceTranscriptionCompleted | VoiceTranscriptionFailed


@dataclass(frozen=True)
class TranscriptionRules:
    """Who transcribes what names nobody, and how often progress is told."""

    default_engine: str
    progress_every_seconds: float = 1.0


class TranscriptionService:
    """Transcribes recordings with the engine that the request or the deployment names."""

    def __init__(
        self,
        storage: ObjectStorage,
        engines: Mapping[str, SpeechEngine],
        publisher: Publisher,
        rules: TranscriptionRules,
    ) -> None:
        self._storage = storage
        self._results = ResultStore(storage, TranscriptResult)
        self._engines = engines
        self._publisher = publisher
        self._rules = rules

    async def transcribe(self, request: VoiceTranscriptionRequested) -> None:
        """Transcribe the recording, store the result, publish what came of it; returns when the broker holds that.

        Twice is once: a result that an earlier delivery has stored is published again without transcribing again, and
        whatever is published for one request has the same id each time. Raises `UnavailableError` when storage,
        broker or engine are not there: the request is to come again later.
        """
        log.info("transcription.started", voice_sample_id=request.voice_sample_id, size_bytes=request.size_bytes)
        answer, outcome = await self._answer(request)
        await self._publisher.publish(answer)
        metrics.jobs.labels(outcome).inc()
        log.info("transcription.finished", voice_sample_id=request.voice_sample_id, outcome=outcome)

    async def give_up(self, request: VoiceTranscriptionRequested, error: Exception) -> None:
        """Tell the owner that it was not transcribed, although nothing is wrong with it that we know of."""
        log.error("transcription.given_up", voice_sample_id=request.voice_sample_id, error=repr(error))
        detail = "The recording could not be transcribed because of a fault on our side. Please try again later."
        await self._publisher.publish(_failed(request, EngineError("engine_unavailable", detail, retryable=True)))
        metrics.jobs.labels("given_up").inc()

    async def _answer(self, request: VoiceTranscriptionRequested) -> tuple[Answer, str]:
        found = await self._results.find(request)
        if found is not None:
            return _completed(request, *found, 0.0), "republished"
        progress = ProgressReporter(self._publisher, partial(_progressed, request), self._rules.progress_every_seconds)
        progress(0, 0)
        try:
            transcription, seconds = await self._hear(request, progress)
        except EngineError as error:
            return _failed(request, error), error.code
        finally:
            await progress.close()
        result = _result(request, transcription)
        with span("transcription.store", attributes={"alta.segments": len(result.segments)}):
            content = await asyncio.to_thread(result.model_dump_json)
            stored = await self._results.store(request, content.encode())
        return _completed(request, stored, result, seconds), "completed"

    async def _hear(
        self, request: VoiceTranscriptionRequested, progress: ProgressReporter
    ) -> tuple[Transcription, float]:
        engine = engine_for(request, self._engines, self._rules.default_engine)
        async with downloaded(request, self._storage, "transcription") as source:
            started = time.perf_counter()
            with span("transcription.engine") as present:
                transcription = await engine.transcribe(source, SpeechOptions(request.language), progress)
                present.set_attribute("alta.engine", transcription.engine.name)
                present.set_attribute("alta.audio_ms", transcription.duration_ms)
            seconds = time.perf_counter() - started
        _account(transcription, seconds)
        return transcription, seconds


def _account(transcription: Transcription, seconds: float) -> None:
    length = transcription.duration_ms / 1000
    metrics.audio_seconds.labels(transcription.engine.name).inc(length)
    if length:
        engine_seconds_per_unit.labels(transcription.engine.name).observe(seconds / length, exemplar())


def _result(request: VoiceTranscriptionRequested, transcription: Transcription) -> TranscriptResult:
    return TranscriptResult(
        voice_sample_id=request.voice_sample_id,
        engine=transcription.engine,
        language=transcription.language,
        duration_ms=transcription.duration_ms,
        text=transcription.text,
        segments=transcription.segments,
        warnings=transcription.warnings,
    )


def _progressed(request: VoiceTranscriptionRequested, done: int, total: int) -> VoiceTranscriptionProgressed:
    return VoiceTranscriptionProgressed(
        event_id=derived_id(request.event_id, f"{VoiceTranscriptionProgressed.ROUTING_KEY}:{done}/{total}"),
        voice_sample_id=request.voice_sample_id,
        project_id=request.project_id,
        request_event_id=request.event_id,
        attempt=request.attempt,
        done=done,
        total=total,
        unit="second",
    )


def _completed(
    request: VoiceTranscriptionRequested, stored: StoredObject, result: TranscriptResult, seconds: float
) -> VoiceTranscriptionCompleted:
    # A redelivered request gives the same id, so the receiver takes only one of them.
    return VoiceTranscriptionCompleted(
        event_id=derived_id(request.event_id, VoiceTranscriptionCompleted.ROUTING_KEY),
        voice_sample_id=request.voice_sample_id,
        project_id=request.project_id,
        request_event_id=request.event_id,
        attempt=request.attempt,
        result_key=stored.key,
        result_sha256=stored.sha256,
        result_bytes=stored.size_bytes,
        engine_name=result.engine.name,
        engine_version=result.engine.version,
        engine_config_hash=result.engine.config_hash,
        language=result.language,
        duration_ms=result.duration_ms,
        confidence=result.confidence,
        warnings=result.warnings,
        engine_seconds=round(seconds, 3),
    )


def _failed(request: VoiceTranscriptionRequested, error: EngineError) -> VoiceTranscriptionFailed:
    return VoiceTranscriptionFailed(
        event_id=derived_id(request.event_id, VoiceTranscriptionFailed.ROUTING_KEY),
        voice_sample_id=request.voice_sample_id,
        project_id=request.project_id,
        request_event_id=request.event_id,
        attempt=request.attempt,
        code=error.code,
        detail=error.detail,
        retryable=error.retryable,
    )
