"""What can be believed of what a Whisper model says.

A model that knows only English answers other languages with fluent, invented English, and some noise as well. Measured:
English is decoded at temperature 0 every time, with a mean log-probability from -0.99 up; German, French and
Spanish fall back to higher temperatures or end near or below -1.0, with words whose mean probability is 0.33-0.47
(English: 0.50 up, even where two people speak at once; strings of digits are an exception).
"""

from collections.abc import Iterable, Sequence

from alta_common.contracts.results import Segment

LOW_CONFIDENCE = "low_confidence_or_unsupported_language"
NO_SPEECH = "no_speech"
DAMAGED = "partly_damaged"

_MIN_LOG_PROBABILITY = -1.0
_POOR_LOG_PROBABILITY = -0.9
_POOR_WORD_PROBABILITY = 0.48
_MAX_COMPRESSION = 2.4
_NO_SPEECH = 0.6


def is_invented(no_speech_probability: float, log_probability: float) -> bool:
    """Say whether a segment is to be dropped: the model heard no speech and does not believe its own words."""
    return no_speech_probability > _NO_SPEECH and log_probability < _MIN_LOG_PROBABILITY


def is_doubtful(
    log_probability: float, temperature: float, compression: float, word_probabilities: Sequence[float]
) -> bool:
    """Say whether a segment is to be shown as one of low confidence.

    A temperature above 0 means that the model's first answer failed its own checks: improbable, or a text that repeats
    itself so much that it compresses well.
    """
    if log_probability < _MIN_LOG_PROBABILITY or temperature > 0 or compression > _MAX_COMPRESSION:
        return True
    if log_probability >= _POOR_LOG_PROBABILITY or not word_probabilities:
        return False
    # Each alone says little. Together they find what was decoded at temperature 0 by a hair.
    return sum(word_probabilities) / len(word_probabilities) < _POOR_WORD_PROBABILITY


def warnings_of(segments: Iterable[Segment], *, other_language: bool, damaged: bool) -> list[str]:
    """Return the warnings of a result. `other_language`: the request named one that the model does not know."""
    lengths = [(segment.end_ms - segment.start_ms, segment.low_confidence) for segment in segments]
    doubtful = sum(length for length, low in lengths if low)
    warnings = [NO_SPEECH] if not lengths else []
    if lengths and (other_language or doubtful * 2 > sum(length for length, _ in lengths)):
        warnings.append(LOW_CONFIDENCE)
    if damaged:
        warnings.append(DAMAGED)
    return warnings
