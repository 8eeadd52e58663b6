"""The calls to Google Speech-to-Text v2 that are made here. What comes back are raw protocol buffers."""

from typing import Any

from google.api_core.exceptions import from_grpc_status
from google.cloud import speech_v2

from alta_common.engines.google.calls import GoogleCalls, Patience
from alta_common.engines.google.connection import check_client, close_client
from alta_common.engines.google.errors import InputFault
from alta_common.engines.google.limiter import Limiter
from alta_common.engines.google.long_running import LongRunning
from alta_transcription.engines.google_speech_config import GoogleSpeechConfig

API = "speech"

FAULTS = (
    InputFault.of(
        r"language.*(not supported|unsupported|invalid)",
        "unsupported_language",
        "The engine does not know the language that was asked for.",
    ),
    InputFault.of(
        r"too long|longer than|maximum (of \d+ (seconds|minutes)|allowed audio duration)|duration limit",
        "audio_too_long",
        "The recording is longer than the engine takes.",
    ),
    InputFault.of(
        r"encoding|decod|audio (data|file|content)", "corrupt_file", "The engine cannot decode the recording."
    ),
)
"""How Google words what is wrong with a recording."""


class SpeechApi:
    """A recognizer of Google's. `client` belongs to the running event loop; `close` closes it.

    `poll_pause_seconds` are the first and the longest pause between two questions how far an operation has come.
    """

    def __init__(
        self,
        client: speech_v2.SpeechAsyncClient,
        config: GoogleSpeechConfig,
        limiter: Limiter,
        patience: Patience,
        *,
        poll_pause_seconds: tuple[float, float] = (1.0, 15.0),
    ) -> None:
        self.config = config
        self._client = client
        self._calls = GoogleCalls(API, limiter, FAULTS, patience)
        first_pause, longest_pause = poll_pause_seconds
        self.operations = LongRunning(
            self._calls, client, first_pause_seconds=first_pause, longest_pause_seconds=longest_pause
        )

    async def recognize(self, content: bytes, language: str | None) -> Any:
        """Return the `RecognizeResponse` for a short recording.

        Raises `EngineError`, and `UnavailableError` for what may go better later.
        """
        request = speech_v2.RecognizeRequest(
            recognizer=self.config.recognizer_name, config=self.config.recognition(language), content=content
        )
        return speech_v2.RecognizeResponse.pb(await self._calls.call(self._client.recognize, request))

    async def begin(self, uri: str, language: str | None) -> str:
        """Begin to transcribe the file at `uri` (gs://); return the name of the operation. Raises as `recognize`."""
        request = speech_v2.BatchRecognizeRequest(
            recognizer=self.config.recognizer_name,
            config=self.config.recognition(language),
            files=[speech_v2.BatchRecognizeFileMetadata(uri=uri)],
            recognition_output_config=speech_v2.RecognitionOutputConfig(
                inline_response_config=speech_v2.InlineOutputConfig()
            ),
        )
        started = await self._calls.call(self._client.batch_recognize, request)
        return str(started.operation.name)

    def fault(self, status: Any) -> Exception:
        """Return what to raise for a `google.rpc.Status` that came inside of an answer."""
        error = from_grpc_status(status.code, status.message)  # type: ignore[no-untyped-call]  # has no types
        return self._calls.translated(error)

    def check(self) -> None:
        """Raise `UnavailableError` when the connection is known to be broken, or our calls to be refused."""
        check_client(self._client)
        self._calls.check()

    async def close(self) -> None:
        """Close the connection."""
        await close_client(self._client)
