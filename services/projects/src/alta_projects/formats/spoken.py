"""The words of a transcript as captions need them: in time, clean, none wider than a line."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from alta_common.contracts.results import Segment, SpokenWord, TranscriptResult
from alta_projects.formats.strings import columns, one_line, spaces_before


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word: `is_apart` when a space stands before it.

    `voice` tells who talk at the same time apart, even where the engine does not name them.
    """

    text: str
    start_ms: int
    end_ms: int
    is_apart: bool
    speaker: str | None
    ends_segment: bool
    voice: int = 0


def timed_words(result: TranscriptResult, widest: int) -> list[TimedWord]:
    """Return the words of a transcript in the order of time, cut to at most `widest` columns each.

    Those of one voice stay in the order in which they were said.
    """
    words: list[TimedWord] = []
    last_words: dict[int, TimedWord] = {}
    voices: defaultdict[str | None, list[int]] = defaultdict(list)
    for segment in sorted(result.segments, key=lambda segment: segment.start_ms):
        said = _in_order(_of_segment(segment, widest))
        if not said:
            continue
        mine = voices[said[0].speaker]
        # Who still talks has another voice than who begins: the words of two sentences are not to be mixed.
        voice = next((voice for voice in mine if last_words[voice].start_ms <= said[0].start_ms), None)
        if voice is None:
            voice = len(last_words)
            mine.append(voice)
        said = [replace(word, voice=voice) for word in said]
        last_words[voice] = said[-1]
        words += said
    return sorted(words, key=lambda word: word.start_ms)


def _in_order(words: Iterator[TimedWord]) -> list[TimedWord]:
    """Return the words of a segment, none before the one before it."""
    ordered: list[TimedWord] = []
    earliest = 0
    for word in words:
        start_ms = max(word.start_ms, earliest)
        ordered.append(replace(word, start_ms=start_ms, end_ms=max(word.end_ms, start_ms)))
        earliest = start_ms
    return ordered


def _of_segment(segment: Segment, widest: int) -> Iterator[TimedWord]:
    spoken = [word for word in segment.words if one_line(word.text)] or _spread(segment)
    texts = [one_line(word.text) for word in spoken]
    apart = spaces_before(one_line(segment.text), texts)
    speaker = one_line(segment.speaker) if segment.speaker else None
    for i, (word, text) in enumerate(zip(spoken, texts, strict=True)):
        pieces = _cut(text, widest)
        span = max(word.end_ms - word.start_ms, 0) / len(pieces)
        for j, piece in enumerate(pieces):
            yield TimedWord(
                text=piece,
                start_ms=word.start_ms + round(j * span),
                end_ms=word.start_ms + round((j + 1) * span),
                is_apart=j == 0 and (i == 0 or apart[i]),
                speaker=speaker,
                ends_segment=i == len(spoken) - 1 and j == len(pieces) - 1,
            )


def _spread(segment: Segment) -> list[SpokenWord]:
    """Return the words of a segment whose engine gave no times of words: each takes time as it has letters."""
    texts = one_line(segment.text).split()
    letters = sum(map(len, texts))
    length = max(segment.end_ms - segment.start_ms, 0)
    words = []
    said = 0
    for text in texts:
        start_ms = segment.start_ms + length * said // letters
        said += len(text)
        end_ms = segment.start_ms + length * said // letters
        words.append(SpokenWord(start_ms=start_ms, end_ms=end_ms, text=text, confidence=None))
    return words


def _cut(text: str, widest: int) -> list[str]:
    """Cut a text without spaces (a web address, a Chinese sentence) into pieces that fit."""
    pieces = [""]
    taken = 0
    for character in text:
        width = columns(character)
        if taken + width > widest:
            pieces.append("")
            taken = 0
        pieces[-1] += character
        taken += width
    return pieces
