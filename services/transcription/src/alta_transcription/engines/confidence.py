"""What can be believed of what a Whisper model says.

A model that knows only English answers other languages with fluent, invented English, and some noise as well. Its own
confidence alone does not tell. Measured: English is decoded at temperature 0 nearly every time, with a mean
log-probability from -0.99 up; German, French and Spanish fall back to higher temperatures or end near or below -1.0,
with words whose mean probability is 0.18-0.50 (English: 0.56 up through noise, echoes and telephones; strings of digits
are an exception). Two people who speak at once end in between, at -0.78 to -0.99 and 0.50-0.59: of them, what the model
believes least is doubted as well.
"""

from collections.abc import Iterable
from itertools import pairwise

from alta_common.contracts.results import Segment
from alta_transcription.engines.heard import HeardSegment

LOW_CONFIDENCE = "low_confidence_or_unsupported_language"
NO_SPEECH = "no_speech"
DAMAGED = "partly_damaged"

_MIN_LOG_PROBABILITY = -1.0
_WEAK_LOG_PROBABILITY = -0.9
# Each alone says little. Together they find what was decoded at temperature 0 by a hair.
_POOR = ((-0.8, 0.5), (_WEAK_LOG_PROBABILITY, 0.6))
"""Pairs of log-probability and mean probability of the words below which a segment is doubted."""
_MAX_COMPRESSION = 2.4
_NO_SPEECH = 0.6

# What the voice detector says of the time of a segment: nobody at all, or hardly anybody.
_NOBODY = 0.1
_HARDLY_ANYBODY = 0.2
# A breath is less, a word more.
_SOMEBODY_SECONDS = 0.3
# Who speaks for so long has said something, whether the model found words for it or not.
_SPEECH_SECONDS = 1.0

# People say 12-18 characters a second, auctioneers 25; who says fewer than 2 leaves pauses that end the segment.
_MOST_CHARACTERS_A_SECOND = 30.0
_FEWEST_CHARACTERS_A_SECOND = 2.0
_FAST_FROM_SECONDS = 1.0
_SLOW_FROM_SECONDS = 4.0

# "No, no, no" is said; the same words four times and more are a loop that the model is caught in.
_MOST_REPETITIONS = 3
_LONGEST_PHRASE = 8


def is_invented(heard: HeardSegment) -> bool:
    """Say whether a segment is to be dropped: nobody speaks there.

    Where the detector is sure of a voice, what the model doubts is kept, and shown as doubtful.
    """
    if heard.voice < _NOBODY or not any(character.isalnum() for character in heard.text):
        return True
    if heard.voiced_seconds >= _SOMEBODY_SECONDS:
        return False
    if heard.no_speech_probability > _NO_SPEECH and heard.log_probability < _MIN_LOG_PROBABILITY:
        return True
    # The breath after the last word becomes "Thank you.".
    return heard.is_rest and (heard.temperature > 0 or heard.log_probability < _WEAK_LOG_PROBABILITY)


def is_doubtful(heard: HeardSegment) -> bool:
    """Say whether a segment is to be shown as one of low confidence."""
    return _is_improbable(heard) or _cannot_be_said(heard) or heard.voice < _HARDLY_ANYBODY


def _is_improbable(heard: HeardSegment) -> bool:
    # A temperature above 0 means that the model's first answer failed its own checks: improbable, or a text that
    # repeats itself so much that it compresses well.
    if heard.log_probability < _MIN_LOG_PROBABILITY or heard.temperature > 0 or heard.compression > _MAX_COMPRESSION:
        return True
    if not heard.words or _is_number(heard.text):
        return False
    words = sum(word.probability for word in heard.words) / len(heard.words)
    return any(heard.log_probability < least and words < least_of_words for least, least_of_words in _POOR)


def _is_number(text: str) -> bool:
    return sum(character.isdigit() for character in text) > sum(character.isalpha() for character in text)


def _cannot_be_said(heard: HeardSegment) -> bool:
    seconds = max(heard.end - heard.start, 0.01)
    pace = len(heard.text) / seconds
    if pace > _MOST_CHARACTERS_A_SECOND and len(heard.text) > _MOST_CHARACTERS_A_SECOND * _FAST_FROM_SECONDS:
        return True
    return (pace < _FEWEST_CHARACTERS_A_SECOND and seconds > _SLOW_FROM_SECONDS) or is_loop(heard.text)


def is_loop(text: str) -> bool:
    """Say whether a text repeats a phrase (of up to 8 words) more than three times in a row."""
    words = [word.strip(".,!?;:-").casefold() for word in text.split()]
    for length in range(1, min(_LONGEST_PHRASE, len(words) // (_MOST_REPETITIONS + 1)) + 1):
        run = 0
        for one, other in zip(words, words[length:], strict=False):
            run = run + 1 if one == other else 0
            if run >= length * _MOST_REPETITIONS:
                return True
    return False


def doubting_repetitions(segments: list[Segment]) -> list[Segment]:
    """Return `segments`, those marked that say (in two words or more) what each of the three before them says."""
    repeated = 0
    marked = segments[:1]
    for before, segment in pairwise(segments):
        is_same = len(segment.text.split()) > 1 and before.text.casefold() == segment.text.casefold()
        repeated = repeated + 1 if is_same else 0
        doubtful = repeated >= _MOST_REPETITIONS
        marked.append(segment.model_copy(update={"low_confidence": True}) if doubtful else segment)
    return marked


def warnings_of(
    segments: Iterable[Segment], *, other_language: bool, damaged: bool, voiced_seconds: float = 0.0
) -> list[str]:
    """Return the warnings of a result.

    `other_language`: the request named one that the model does not know; `voiced_seconds`: for how long somebody spoke.
    """
    lengths = [(segment.end_ms - segment.start_ms, segment.low_confidence) for segment in segments]
    doubtful = sum(length for length, low in lengths if low)
    if not lengths:
        warnings = [LOW_CONFIDENCE if voiced_seconds >= _SPEECH_SECONDS else NO_SPEECH]
    else:
        is_doubtful_all = other_language or doubtful * 2 > sum(length for length, _ in lengths)
        warnings = [LOW_CONFIDENCE] if is_doubtful_all else []
    if damaged:
        warnings.append(DAMAGED)
    return warnings
