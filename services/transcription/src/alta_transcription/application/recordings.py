"""Recordings as transcription sees them: how they are transcribed, and what is told of that."""

import time
from collections.abc import Callable
from typing import Any, ClassVar

from opentelemetry import trace

from alta_common.contracts.engines import EngineKind
from alta_common.contracts.projects import VoiceTranscriptionRequested
from alta_common.contracts.results import TranscriptResult
from alta_common.contracts.transcription import (
    VoiceTranscriptionCompleted,
    VoiceTranscriptionFailed,
    VoiceTranscriptionProgressed,
)
from alta_common.engines.checkpoints import Checkpoint
from alta_common.engines.kind import Kind
from alta_common.engines.operations import Operations
from alta_common.engines.port import EngineError, SourceFile
from alta_common.ids import derived_id
from alta_common.storage.object_storage import StoredObject
from alta_common.telemetry.metrics import engine_seconds_per_unit, exemplar
from alta_transcription import metrics
from alta_transcription.engines.engine import SpeechEngine, SpeechOptions, Transcription


class Recordings(Kind[VoiceTranscriptionRequested, SpeechEngine, Transcription, TranscriptResult]):
    """Transcribes recordings; the result is a `TranscriptResult`."""

    name: ClassVar[EngineKind] = "voice_sample"
    service: ClassVar[str] = "transcription"
    jobs = metrics.jobs
    result = TranscriptResult
    length_is_known_late: ClassVar[bool] = True

    def options(
        self, request: VoiceTranscriptionRequested, checkpoint: Checkpoint, operations: Operations
    ) -> SpeechOptions:
        """Return what the request asks for."""
        return SpeechOptions(
            language=request.language,
            checkpoint=checkpoint,
            operations=operations,
            channels=request.channels or "mixed",
        )

    async def read(
        self, engine: SpeechEngine, source: SourceFile, options: SpeechOptions, progress: Callable[[float, float], None]
    ) -> Transcription:
        """Return what the recording says; progress is in seconds of audio."""
        started = time.perf_counter()
        transcription = await engine.transcribe(source, options, progress)
        _account(transcription, time.perf_counter() - started)
        return transcription

    async def resume(
        self, engine: SpeechEngine, options: SpeechOptions, progress: Callable[[float, float], None]
    ) -> Transcription | None:
        """Return what others have heard for the engine."""
        started = time.perf_counter()
        transcription = await super().resume(engine, options, progress)
        if transcription is not None:
            _account(transcription, time.perf_counter() - started)
        return transcription

    def serialized(self, request: VoiceTranscriptionRequested, reading: Transcription) -> bytes:
        """Return the canonical JSON of the transcription."""
        return _result(request, reading).model_dump_json().encode()

    def progressed(self, request: VoiceTranscriptionRequested, done: int, total: int) -> VoiceTranscriptionProgressed:
        """Return the event of `done` seconds."""
        return VoiceTranscriptionProgressed(
            event_id=derived_id(request.event_id, f"{VoiceTranscriptionProgressed.ROUTING_KEY}:{done}/{total}"),
            **_answering(request),
            done=done,
            total=total,
            unit="second",
        )

    def completed(
        self,
        request: VoiceTranscriptionRequested,
        stored: StoredObject,
        reading: Transcription | TranscriptResult,
        seconds: float,
    ) -> VoiceTranscriptionCompleted:
        """Return the event of a result. A redelivered request gives the same id, so the receiver takes one of them."""
        result = reading if isinstance(reading, TranscriptResult) else _result(request, reading)
        return VoiceTranscriptionCompleted(
            event_id=derived_id(request.event_id, VoiceTranscriptionCompleted.ROUTING_KEY),
            **_answering(request),
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

    def failed(self, request: VoiceTranscriptionRequested, error: EngineError) -> VoiceTranscriptionFailed:
        """Return the event of a failure."""
        return VoiceTranscriptionFailed(
            event_id=derived_id(request.event_id, VoiceTranscriptionFailed.ROUTING_KEY),
            **_answering(request),
            code=error.code,
            detail=error.detail,
            retryable=error.retryable,
        )


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


def _account(transcription: Transcription, seconds: float) -> None:
    length = transcription.duration_ms / 1000
    trace.get_current_span().set_attribute("alta.audio_ms", transcription.duration_ms)
    metrics.audio_seconds.labels(transcription.engine.name).inc(length)
    if length:
        engine_seconds_per_unit.labels(transcription.engine.name).observe(seconds / length, exemplar())


def _answering(request: VoiceTranscriptionRequested) -> dict[str, Any]:
    return {
        "voice_sample_id": request.voice_sample_id,
        "project_id": request.project_id,
        "request_event_id": request.event_id,
        "attempt": request.attempt,
    }
