"""Long recordings: copied to Cloud Storage and transcribed there by an operation that outlives this process."""

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import structlog
from google.cloud.speech_v2.types import cloud_speech
from google.longrunning.operations_pb2 import Operation

from alta_common.engines.google.long_running import OperationNotFoundError
from alta_common.engines.operations import Operations, RemoteOperation
from alta_common.engines.port import EngineError
from alta_common.errors import UnavailableError
from alta_common.storage.gcs import GcsObjectStorage
from alta_transcription.engines.google_speech_api import SpeechApi

log = structlog.get_logger()

Percent = Callable[[int], None]

_PART = "speech"
_NAME = "audio.flac"


class BatchRecognizer:
    """Transcribes FLAC files through `bucket`. What lies there is removed when its operation has ended."""

    def __init__(self, api: SpeechApi, bucket: GcsObjectStorage) -> None:
        self._api = api
        self._bucket = bucket

    async def recognize(
        self, flac: Path, language: str | None, operations: Operations, percent: Percent, *, separate: bool = False
    ) -> Any:
        """Return Google's `BatchRecognizeFileResult` for the recording; `percent` hears how far it has come.

        With `separate` each of its channels is heard by itself.

        An operation that an earlier process has begun is waited for, not begun again. Raises `EngineError`, and
        `UnavailableError` for what may go better later. Being cancelled leaves the operation running.
        """
        resumed = await self.resume(operations, percent)
        if resumed is not None:
            return resumed
        begun = await self._begin(flac, lambda uri: self._api.begin(uri, language, separate=separate), operations)
        return await self._outcome_of(begun, operations, percent)

    async def resume(self, operations: Operations, percent: Percent) -> Any | None:
        """Return the result of an operation that an earlier process has begun; None when none was. Raises as above."""
        known = await operations.find(_PART)
        if known is None:
            return None
        try:
            return await self._outcome_of(known, operations, percent)
        except OperationNotFoundError:
            # Google forgets operations some days after their end.
            log.warning("google.operation_forgotten", operation=known.name, started_at=known.started_at)
            await operations.clear(_PART)
            return None

    async def abandon(self, operations: Operations) -> None:
        """Cancel the operation, if there is one, and remove what lies in the bucket."""
        known = await operations.find(_PART)
        if known is not None:
            await self._api.operations.cancel(known.name)
            await operations.clear(_PART)
        await self._bucket.delete_below(operations.folder)

    async def _begin(
        self, flac: Path, beginning: Callable[[str], Coroutine[Any, Any, str]], operations: Operations
    ) -> RemoteOperation:
        key = f"{operations.folder}/{_NAME}"
        uri = self._bucket.uri_of(key)
        try:
            await self._bucket.put_file(key, flac, "audio/flac")
            return await self._api.operations.begin(beginning(uri), operations, _PART, (uri,))
        except Exception:
            await self._remove_input(operations)
            raise

    async def _outcome_of(self, begun: RemoteOperation, operations: Operations, percent: Percent) -> Any:
        last = Operation()

        def hear(operation: Operation) -> None:
            nonlocal last
            last = operation
            percent(_percent_of(operation))

        try:
            with operations.waiting():
                await self._api.operations.wait_for(begun.name, hear)
            result = self._file_result(last, begun)
        except (EngineError, UnavailableError):
            # When only the asking failed, it still runs, and the next delivery of the request waits for it.
            if last.done:
                await operations.clear(_PART)
                await self._remove_input(operations)
            raise
        await self._remove_input(operations)
        return result

    def _file_result(self, operation: Operation, begun: RemoteOperation) -> Any:
        """Return the recording's part of the answer: it may have failed although the operation went well."""
        response = cloud_speech.BatchRecognizeResponse.pb()()
        operation.response.Unpack(response)
        (uri,) = begun.inputs
        if uri not in response.results:
            raise EngineError("engine_failed", "The engine's answer does not speak of this recording.")
        result = response.results[uri]
        if result.error.code:
            raise self._api.failure_of(result.error.code, result.error.message)
        return result

    async def _remove_input(self, operations: Operations) -> None:
        try:
            await self._bucket.delete(f"{operations.folder}/{_NAME}")
        except UnavailableError as error:
            # The bucket's lifecycle rule removes what stays behind.
            log.warning("google.input_not_removed", folder=operations.folder, error=error.detail)


def results_of(file_result: Any) -> Sequence[Any]:
    """Return the `SpeechRecognitionResult` messages; `transcript` beside the result is where they stood once."""
    return list(file_result.inline_result.transcript.results or file_result.transcript.results)


def _percent_of(operation: Operation) -> int:
    metadata = cloud_speech.OperationMetadata.pb()()
    if not operation.metadata.Unpack(metadata):
        return 0
    files = metadata.batch_recognize_metadata.transcription_metadata.values()
    return max([int(metadata.progress_percent), *(int(file.progress_percent) for file in files)])
