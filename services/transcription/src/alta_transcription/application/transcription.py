"""Transcribing a stored recording and telling what came of it."""

from collections.abc import Mapping

from alta_common.contracts.projects import VoiceTranscriptionCancelled, VoiceTranscriptionRequested
from alta_common.engines.progress import Publisher
from alta_common.engines.rules import WorkRules
from alta_common.engines.work import EngineWork
from alta_common.storage.object_storage import ObjectStorage
from alta_transcription.application.recordings import Recordings
from alta_transcription.engines.engine import SpeechEngine


class TranscriptionService:
    """Transcribes recordings with the engine that the request or the deployment names."""

    def __init__(
        self, storage: ObjectStorage, engines: Mapping[str, SpeechEngine], publisher: Publisher, rules: WorkRules
    ) -> None:
        self._work = EngineWork(Recordings(), storage, engines, publisher, rules)

    async def transcribe(self, request: VoiceTranscriptionRequested) -> None:
        """Transcribe, store the result, publish what came of it. Twice is once: see `EngineWork.perform`."""
        await self._work.perform(request)

    async def cancel(self, cancellation: VoiceTranscriptionCancelled) -> None:
        """Stop transcribing a recording whose result nobody wants any more."""
        self._work.cancel(cancellation.voice_sample_id, cancellation.attempt, cancellation.reason)

    async def give_up(self, request: VoiceTranscriptionRequested, error: Exception) -> None:
        """Tell the owner that it was not transcribed, although nothing is wrong with it that we know of."""
        detail = "The recording could not be transcribed because of a fault on our side. Please try again later."
        await self._work.give_up(request, error, detail)
