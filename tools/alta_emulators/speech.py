"""Speech-to-Text v2: `Recognize` and `BatchRecognize`, with Google's limits.

Limits: https://cloud.google.com/speech-to-text/v2/quotas (November 2026); encodings: `AutoDetectDecodingConfig`.
"""

import math
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from google.cloud import speech_v2
from google.cloud.speech_v2.types import cloud_speech
from google.longrunning.operations_pb2 import Operation

from alta_emulators.cloud_storage import CloudStorage
from alta_emulators.faults import REMEMBERED_REQUESTS, Faults, RefusedError
from alta_emulators.operations import Operations, RunningOperation
from alta_emulators.rpc import Method, plus, service
from alta_emulators.sound import Sound, listen

SERVICE = "google.cloud.speech.v2.Speech"

Results = Sequence[cloud_speech.SpeechRecognitionResult]
Percent = Callable[[int], None]

_RECOGNIZER = re.compile(r"projects/[^/]+/locations/([^/]+)/recognizers/[^/]+")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})+|auto")


class SpeechBackend(Protocol):
    """Transcribes sound."""

    async def hear(self, wav: bytes, language: str, percent: Percent) -> Results:
        """Return what is said in `wav` (16 bit, mono); `percent` hears how far it has come."""
        ...


@dataclass(frozen=True)
class SpeechLimits:
    """What Google refuses."""

    inline_bytes: int = 10 * 1024 * 1024
    inline_seconds: float = 60.0
    batch_files: int = 15
    batch_seconds: float = 8 * 3600.0


class SpeechService:
    """The service. What arrived last stands in `requests`."""

    def __init__(
        self,
        backend: SpeechBackend,
        operations: Operations,
        faults: Faults,
        storage: CloudStorage | None = None,
        limits: SpeechLimits | None = None,
    ) -> None:
        self.requests: deque[speech_v2.RecognizeRequest | speech_v2.BatchRecognizeRequest] = deque(
            maxlen=REMEMBERED_REQUESTS
        )
        self._backend = backend
        self._operations = operations
        self._faults = faults
        self._storage = storage
        self._limits = limits or SpeechLimits()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the service for a server."""
        methods = {
            "Recognize": plus(self._recognize, speech_v2.RecognizeRequest, speech_v2.RecognizeResponse),
            "BatchRecognize": Method(
                self._batch_recognize, speech_v2.BatchRecognizeRequest.deserialize, Operation.SerializeToString
            ),
        }
        return service(SERVICE, methods, self._faults)

    async def _recognize(self, request: speech_v2.RecognizeRequest) -> speech_v2.RecognizeResponse:
        self.requests.append(request)
        _check(request)
        content = await self._read(request.uri) if request.uri else request.content
        if len(content) > self._limits.inline_bytes:
            raise invalid(f"Request payload size exceeds the limit: {self._limits.inline_bytes} bytes.")
        sound = await listen(content, each_channel=_hears_each(request.config))
        if sound.seconds > self._limits.inline_seconds:
            raise invalid(f"Audio can be of a maximum of {self._limits.inline_seconds:g} seconds.")
        results = await self._hear(sound, request.config, lambda _: None)
        return speech_v2.RecognizeResponse(results=results, metadata=_billed(sound))

    async def _batch_recognize(self, request: speech_v2.BatchRecognizeRequest) -> Operation:
        self.requests.append(request)
        _check(request)
        if not 1 <= len(request.files) <= self._limits.batch_files:
            raise invalid(f"A batch has 1 to {self._limits.batch_files} files, this one {len(request.files)}.")
        if "inline_response_config" not in request.recognition_output_config:
            raise RefusedError(grpc.StatusCode.UNIMPLEMENTED, "This emulator answers inline only.")
        if len(request.files) > 1:
            raise invalid("Inline output is only supported for a single file.")
        parent = request.recognizer.partition("/recognizers/")[0]
        return self._operations.start(parent, lambda running: self._hear_files(request, running))

    async def _hear_files(self, request: speech_v2.BatchRecognizeRequest, running: RunningOperation) -> Any:
        response = speech_v2.BatchRecognizeResponse()
        for file in request.files:
            response.results[file.uri] = await self._hear_file(file.uri, request, running)
        return speech_v2.BatchRecognizeResponse.pb(response)

    async def _hear_file(
        self, uri: str, request: speech_v2.BatchRecognizeRequest, running: RunningOperation
    ) -> cloud_speech.BatchRecognizeFileResult:
        running.tell(_metadata(request, uri, 0))
        try:
            sound = await listen(await self._read(uri), each_channel=_hears_each(request.config))
            if sound.seconds > self._limits.batch_seconds:
                raise invalid("Audio is too long: a file may have 480 minutes.")
            results = await self._hear(
                sound, request.config, lambda percent: running.tell(_metadata(request, uri, percent))
            )
        except RefusedError as refused:
            status = {"code": refused.status.value[0], "message": refused.message}
            return cloud_speech.BatchRecognizeFileResult(error=status)
        running.tell(_metadata(request, uri, 100))
        return cloud_speech.BatchRecognizeFileResult(
            inline_result=cloud_speech.InlineResult(transcript=cloud_speech.BatchRecognizeResults(results=results)),
            metadata=_billed(sound),
        )

    async def _hear(self, sound: Sound, config: speech_v2.RecognitionConfig, percent: Percent) -> Results:
        results: list[cloud_speech.SpeechRecognitionResult] = []
        count = len(sound.wavs)
        for number, wav in enumerate(sound.wavs):
            heard = await self._backend.hear(wav, config.language_codes[0], _share(percent, number, count))
            results += [_shown(result, config.features, number + 1) for result in heard]
        return results

    async def _read(self, uri: str) -> bytes:
        if self._storage is None:
            raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION, "This emulator has no Cloud Storage.")
        return await self._storage.read(uri)


def invalid(message: str) -> RefusedError:
    """Return the refusal of a request that cannot be served."""
    return RefusedError(grpc.StatusCode.INVALID_ARGUMENT, message)


def _check(request: speech_v2.RecognizeRequest | speech_v2.BatchRecognizeRequest) -> None:
    recognizer, config = _RECOGNIZER.fullmatch(request.recognizer), request.config
    if recognizer is None:
        raise invalid("Invalid resource field value in the request.")
    if not config.model:
        raise invalid("The recognizer has no model, and the request names none.")
    if "auto_decoding_config" not in config and "explicit_decoding_config" not in config:
        raise invalid("Missing decoding_config.")
    for language in config.language_codes or [""]:
        if not _LANGUAGE.fullmatch(language):
            location = recognizer.group(1)
            raise invalid(
                f'The language "{language}" is not supported by the model "{config.model}" '
                f'in the location named "{location}".'
            )


def _share(percent: Percent, number: int, count: int) -> Percent:
    """Return what hears how far a channel has come, and tells how far all have."""
    return lambda of_channel: percent((100 * number + of_channel) // count)


def _hears_each(config: speech_v2.RecognitionConfig) -> bool:
    modes = speech_v2.RecognitionFeatures.MultiChannelMode
    return bool(config.features.multi_channel_mode == modes.SEPARATE_RECOGNITION_PER_CHANNEL)


def _shown(
    result: cloud_speech.SpeechRecognitionResult, features: speech_v2.RecognitionFeatures, channel: int
) -> cloud_speech.SpeechRecognitionResult:
    """Return `result`, which a channel said, without what was not asked for."""
    shown = cloud_speech.SpeechRecognitionResult(result)
    shown.channel_tag = channel
    for alternative in shown.alternatives:
        if not features.enable_word_time_offsets:
            alternative.words = []
        for word in alternative.words:
            word.confidence = word.confidence if features.enable_word_confidence else 0.0
    return shown


def _billed(sound: Sound) -> cloud_speech.RecognitionResponseMetadata:
    # Each channel is paid for.
    seconds = math.ceil(sound.seconds) * len(sound.wavs)
    return cloud_speech.RecognitionResponseMetadata(total_billed_duration={"seconds": seconds})


def _metadata(request: speech_v2.BatchRecognizeRequest, uri: str, percent: int) -> Any:
    file = cloud_speech.BatchRecognizeTranscriptionMetadata(progress_percent=percent)
    metadata = cloud_speech.OperationMetadata(
        method=f"{SERVICE}.BatchRecognize",
        resource=request.recognizer,
        batch_recognize_request=request,
        batch_recognize_metadata=cloud_speech.BatchRecognizeMetadata(transcription_metadata={uri: file}),
        progress_percent=percent,
    )
    return cloud_speech.OperationMetadata.pb(metadata)
