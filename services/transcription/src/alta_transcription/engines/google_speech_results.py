"""Google's results as canonical segments.

What is read here are the raw protocol buffers, not the library's wrappers around them: those take ten times as long,
and an hour of speech has ten thousand words. 0.0 is how Google says that it gives no confidence.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from google.protobuf.duration_pb2 import Duration

from alta_common.contracts.results import Segment, SpokenWord

_DOUBTFUL_BELOW = 0.5


def segments_of(results: Sequence[Any], duration_ms: int, *, separate: bool = False) -> list[Segment]:
    """Return the segments of `SpeechRecognitionResult` messages in the order of their time.

    With `separate` each says which channel it comes from, even if only one of them has said something. Times lie within
    the recording, and no word ends before it begins, whatever the service says.
    """
    tells_channels = separate or len({result.channel_tag for result in results}) > 1
    segments: list[Segment] = []
    ends: dict[int, int] = {}
    for result in results:
        if not result.alternatives or not result.alternatives[0].transcript.strip():
            continue
        speaker = f"channel {result.channel_tag}" if tells_channels else None
        begin_ms = ends.get(result.channel_tag, 0)
        end_ms = max(begin_ms, min(_milliseconds(result.result_end_offset) or duration_ms, duration_ms))
        segments += _segments_of_result(result.alternatives[0], begin_ms, end_ms, speaker)
        ends[result.channel_tag] = end_ms
    return sorted(segments, key=lambda segment: segment.start_ms)


def language_of(results: Sequence[Any]) -> str | None:
    """Return the language that most of the results are in, or None where Google does not say."""
    found = Counter(result.language_code for result in results if result.language_code)
    if not found:
        return None
    ((code, _),) = found.most_common(1)
    return _as_usual(code)


def _segments_of_result(alternative: Any, begin_ms: int, end_ms: int, speaker: str | None) -> Iterator[Segment]:
    words = [word for word in alternative.words if word.word.strip()]
    runs = [(label, list(run)) for label, run in groupby(words, key=lambda word: word.speaker_label)]
    if len(runs) <= 1:
        label = runs[0][0] if runs else ""
        yield _segment(alternative.transcript.strip(), words, alternative, (begin_ms, end_ms), label or speaker)
        return
    # Several people in one result: each change of the speaker begins a segment.
    for label, run in runs:
        text = " ".join(word.word.strip() for word in run)
        yield _segment(text, run, alternative, (begin_ms, end_ms), label or speaker)


def _segment(text: str, words: list[Any], alternative: Any, within: tuple[int, int], speaker: str | None) -> Segment:
    spoken = [_word(word, within[1]) for word in words]
    confidence = _confidence(alternative.confidence)
    return Segment(
        start_ms=min((word.start_ms for word in spoken), default=within[0]),
        end_ms=max((word.end_ms for word in spoken), default=within[1]),
        text=text,
        confidence=confidence,
        speaker=speaker,
        low_confidence=confidence is not None and confidence < _DOUBTFUL_BELOW,
        words=spoken,
    )


def _word(word: Any, last_ms: int) -> SpokenWord:
    start_ms = min(_milliseconds(word.start_offset), last_ms)
    end_ms = max(start_ms, min(_milliseconds(word.end_offset), last_ms))
    return SpokenWord(start_ms=start_ms, end_ms=end_ms, text=word.word.strip(), confidence=_confidence(word.confidence))


def _confidence(value: float) -> float | None:
    return round(min(1.0, value), 4) if value > 0 else None


def _milliseconds(offset: Duration) -> int:
    milliseconds: int = offset.ToMilliseconds()
    return max(0, milliseconds)


def _as_usual(code: str) -> str:
    """Return a language tag with the capitals that RFC 5646 recommends: Google says `en-us`."""
    language, *rest = code.split("-")
    known = {2: str.upper, 4: str.title}
    return "-".join([language.lower(), *(known.get(len(part), str.lower)(part) for part in rest)])
