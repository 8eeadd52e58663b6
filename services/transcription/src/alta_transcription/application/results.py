"""The canonical result of a request in object storage: written once, found again when the request comes twice."""

import asyncio
import hashlib
from dataclasses import dataclass

import structlog

from alta_common.contracts.projects import VoiceTranscriptionRequested
from alta_common.contracts.results import TranscriptResult
from alta_common.errors import NotFoundError
from alta_common.storage.object_storage import ObjectStorage, StoredObject
from alta_transcription.engines.engine import Transcription

log = structlog.get_logger()


@dataclass(frozen=True)
class StoredTranscript:
    """A result, and the object that holds it."""

    stored: StoredObject
    result: TranscriptResult

    @property
    def confidence(self) -> float | None:
        """Return the mean over the words that an engine gave a confidence for, or None where it gave none."""
        words = [word.confidence for segment in self.result.segments for word in segment.words]
        known = [confidence for confidence in words if confidence is not None]
        return round(sum(known) / len(known), 4) if known else None


def result_key(request: VoiceTranscriptionRequested) -> str:
    """Return where the result of a request lies: another request for the same recording has another place."""
    return f"results/{request.voice_sample_id}/{request.event_id}.json"


class TranscriptStore:
    """Keeps results as the JSON of `alta_common.contracts.results.TranscriptResult`."""

    def __init__(self, storage: ObjectStorage) -> None:
        self._storage = storage

    async def find(self, request: VoiceTranscriptionRequested) -> StoredTranscript | None:
        """Return the whole result that an earlier delivery of `request` has stored, or None."""
        key = result_key(request)
        try:
            content = await self._storage.read(key)
        except NotFoundError:
            return None
        return await asyncio.to_thread(_parsed, key, content)

    async def store(self, request: VoiceTranscriptionRequested, transcription: Transcription) -> StoredTranscript:
        """Store a transcription as the result of `request`."""
        result = TranscriptResult(
            voice_sample_id=request.voice_sample_id,
            engine=transcription.engine,
            language=transcription.language,
            duration_ms=transcription.duration_ms,
            text=transcription.text,
            segments=transcription.segments,
            warnings=transcription.warnings,
        )
        content = await asyncio.to_thread(lambda: result.model_dump_json().encode())
        return StoredTranscript(await self._storage.put_bytes(result_key(request), content, "application/json"), result)


def _parsed(key: str, content: bytes) -> StoredTranscript | None:
    try:
        result = TranscriptResult.model_validate_json(content)
    except ValueError as error:
        log.warning("result.unusable", key=key, error=str(error)[:200])
        return None
    return StoredTranscript(StoredObject(key, len(content), hashlib.sha256(content).hexdigest()), result)
