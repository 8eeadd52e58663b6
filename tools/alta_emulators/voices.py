"""Who transcribes behind the emulated Speech-to-Text."""

import math
import tempfile
from datetime import timedelta
from pathlib import Path

import grpc
from google.cloud.speech_v2.types import cloud_speech

from alta_common.contracts.results import Segment, SpokenWord
from alta_common.engines.port import EngineError, InputError, SourceFile
from alta_common.errors import AltaError
from alta_emulators.faults import RefusedError
from alta_emulators.speech import Percent, Results, SpeechBackend
from alta_transcription.engines.engine import SpeechEngine, SpeechOptions


class ScriptedSpeech(SpeechBackend):
    """Hears in every recording what it was told, or raises `error`; `heard` are the recordings and their languages."""

    def __init__(self, *results: cloud_speech.SpeechRecognitionResult, steps: tuple[int, ...] = ()) -> None:
        self.results = list(results)
        self.heard: list[tuple[bytes, str]] = []
        self.error: Exception | None = None
        self._steps = steps

    async def hear(self, wav: bytes, language: str, percent: Percent) -> Results:
        """Return what was scripted, after telling of each step in percent."""
        self.heard.append((wav, language))
        for step in self._steps:
            percent(step)
        if self.error is not None:
            raise self.error
        return self.results


class LocalSpeech(SpeechBackend):
    """Transcribes with a local engine, so that a laptop gets real answers in Google's shape."""

    def __init__(self, engine: SpeechEngine) -> None:
        self._engine = engine

    async def hear(self, wav: bytes, language: str, percent: Percent) -> Results:
        """Return what the local engine hears."""
        with tempfile.NamedTemporaryFile(prefix="alta-emulator-", suffix=".wav") as file:
            file.write(wav)
            file.flush()
            try:
                heard = await self._engine.transcribe(
                    SourceFile(Path(file.name), "audio/wav"),
                    SpeechOptions(language),
                    lambda done, total: percent(math.floor(100 * done / total) if total else 0),
                )
            except InputError as error:
                raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, error.detail) from error
            except (EngineError, AltaError) as error:
                raise RefusedError(grpc.StatusCode.INTERNAL, error.detail) from error
        return [result_of(segment, language) for segment in heard.segments]


def result_of(segment: Segment, language: str) -> cloud_speech.SpeechRecognitionResult:
    """Return a segment in Google's shape. A confidence that is not known is 0, languages are in small letters."""
    return cloud_speech.SpeechRecognitionResult(
        alternatives=[
            cloud_speech.SpeechRecognitionAlternative(
                transcript=segment.text,
                confidence=segment.confidence or 0.0,
                words=[_word(word, segment.speaker) for word in segment.words],
            )
        ],
        result_end_offset=timedelta(milliseconds=segment.end_ms),
        language_code=language.lower(),
    )


def _word(word: SpokenWord, speaker: str | None) -> cloud_speech.WordInfo:
    return cloud_speech.WordInfo(
        word=word.text,
        start_offset=timedelta(milliseconds=word.start_ms),
        end_offset=timedelta(milliseconds=word.end_ms),
        confidence=word.confidence or 0.0,
        speaker_label=speaker or "",
    )
