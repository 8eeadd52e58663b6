"""The calls to Google Speech-to-Text v2 that are made here. What comes back are raw protocol buffers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from google.cloud import speech_v2

from alta_common.engines.google.api import GoogleApi
from alta_common.engines.google.calls import Patience
from alta_common.engines.google.errors import InputFault, OperatorFault
from alta_common.engines.google.limiter import Limiter
from alta_common.engines.port import InputError
from alta_transcription.engines.google_speech_config import GoogleSpeechConfig

API = "speech"

_LANGUAGE = "unsupported_language"

FAULTS = (
    InputFault.of(
        r"language.*(not supported|unsupported|invalid)",
        _LANGUAGE,
        "The engine does not know the language that was asked for.",
    ),
    # What the model or the recognizer cannot, and we ask for: all recordings fail alike.
    OperatorFault.of(
        r"decoding_?config|not supported by the (selected |requested |recognizer's )?model|unsupported fields"
        r"|does(n't| not) support (the )?feature"
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
"""How Google words what is wrong with a recording, or with the way in which we ask."""


class SpeechApi(GoogleApi[speech_v2.SpeechAsyncClient]):
    """A recognizer of Google's."""

    def __init__(
        self, client: speech_v2.SpeechAsyncClient, config: GoogleSpeechConfig, limiter: Limiter, patience: Patience
    ) -> None:
        super().__init__(API, client, FAULTS, limiter, patience)
        self.config = config

    async def recognize(self, content: bytes, language: str | None, *, separate: bool = False) -> Any:
        """Return the `RecognizeResponse` for a short recording; with `separate` each channel is heard by itself.

        Raises `EngineError`, and `UnavailableError` for what may go better later.
        """
        request = speech_v2.RecognizeRequest(
            recognizer=self.config.recognizer_name,
            config=self.config.recognition(language, separate=separate),
            content=content,
        )
        return speech_v2.RecognizeResponse.pb(await self._calls.call(self._client.recognize, request))

    @contextmanager
    def answering_for(self, language: str | None) -> Iterator[None]:
        """Blame the operator for a language in the block that no request has named: it is the deployment's own."""
        try:
            yield
        except InputError as error:
            if error.code == _LANGUAGE and language is None:
                raise self._calls.refused(error) from error
            raise

    async def begin(self, uri: str, language: str | None, *, separate: bool = False) -> str:
        """Begin to transcribe the file at `uri` (gs://); return the name of the operation. Raises as `recognize`."""
        request = speech_v2.BatchRecognizeRequest(
            recognizer=self.config.recognizer_name,
            config=self.config.recognition(language, separate=separate),
            files=[speech_v2.BatchRecognizeFileMetadata(uri=uri)],
            recognition_output_config=speech_v2.RecognitionOutputConfig(
                inline_response_config=speech_v2.InlineOutputConfig()
            ),
        )
        started = await self._calls.call(self._client.batch_recognize, request)
        return str(started.operation.name)
