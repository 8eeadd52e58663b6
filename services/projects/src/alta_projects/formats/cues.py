"""Captions as subtitlers make them (after the BBC's and Netflix's guides, and EBU's): where to cut, how long to show.

At most two lines of 42 columns; 1-7 s; 17 columns a second where the speech allows it. A Chinese or Japanese character
takes two columns, which makes 21 a line and 8.5 a second.
"""

from dataclasses import dataclass

from alta_common.contracts.results import TranscriptResult
from alta_projects.formats.cuts import CLAUSE_ENDS, SENTENCE_ENDS, Limits, clings, cut, ends_with
from alta_projects.formats.spoken import TimedWord, timed_words
from alta_projects.formats.strings import columns

LIMITS = Limits(columns=42, lines=2, shortest_ms=1000, longest_ms=7000, columns_a_second=17)

# Two captions that touch look like one that changes; two frames (of 25 a second) tell them apart. A longer gap that is
# shorter than half a second only flickers: it is closed to those two frames.
_GAP_MS = 80
_FLICKER_MS = 500

# Columns of imbalance that a break after punctuation is worth; a second line that is longer, as it hides less; and a
# line that does not end in "the" or "of".
_UNPUNCTUATED = 12
_TOP_HEAVY = 4
_CLINGING = 8


@dataclass(frozen=True, slots=True)
class Cue:
    """A caption: its lines and when it is shown. Cues never overlap."""

    start_ms: int
    end_ms: int
    lines: list[str]
    speaker: str | None


def cues_of(result: TranscriptResult) -> list[Cue]:
    """Return a transcript as captions, in the order of time."""
    phrases = cut(timed_words(result, LIMITS.columns), LIMITS)
    starts = _starts(phrases)
    cues = []
    for i, (phrase, start) in enumerate(zip(phrases, starts, strict=True)):
        following = starts[i + 1] if i + 1 < len(phrases) else None
        end = _end(phrase, start, following, result.duration_ms)
        cues.append(Cue(start, end, _lines(phrase), phrase[0].speaker))
    return cues


def _end(phrase: list[TimedWord], start: int, following: int | None, duration_ms: int) -> int:
    """Return when a cue goes: said and read, but before the next one comes, and in the recording's time."""
    wanted = _wanted_end(phrase, start)
    if following is None:
        return min(wanted, max(duration_ms, phrase[-1].end_ms, start + 1))
    latest = max(following - _GAP_MS, start + 1)
    if latest - wanted < _FLICKER_MS - _GAP_MS:
        return min(latest, start + LIMITS.longest_ms)
    return wanted


def _starts(phrases: list[list[TimedWord]]) -> list[int]:
    """Return when phrases begin; a millisecond later where two have the same time, as a cue of no length is none."""
    starts: list[int] = []
    for phrase in phrases:
        starts.append(max(phrase[0].start_ms, starts[-1] + 1 if starts else 0))
    return starts


def _wanted_end(phrase: list[TimedWord], start: int) -> int:
    """Return until when a cue is shown if nothing follows: until it is said and read, for 7 s at most."""
    to_read_ms = LIMITS.time_to_read_ms(columns(text_of(phrase)))
    return min(max(phrase[-1].end_ms, start + to_read_ms), start + LIMITS.longest_ms)


def text_of(words: list[TimedWord]) -> str:
    """Return words as a text."""
    return "".join(f" {word.text}" if word.is_apart else word.text for word in words).strip()


def _lines(phrase: list[TimedWord]) -> list[str]:
    whole = text_of(phrase)
    if columns(whole) <= LIMITS.columns:
        return [whole]
    halves = ((text_of(phrase[:i]), text_of(phrase[i:]), clings(phrase[i - 1].text)) for i in range(1, len(phrase)))
    first, second, _ = min(halves, key=lambda half: _ugliness(*half))
    return [first, second]


def _ugliness(first: str, second: str, clinging: bool) -> float:
    widths = columns(first), columns(second)
    if max(widths) > LIMITS.columns:
        return float(1000 + max(widths))
    is_punctuated = ends_with(first, SENTENCE_ENDS + CLAUSE_ENDS)
    top_heavy = _TOP_HEAVY if widths[0] > widths[1] else 0
    grammar = (0 if is_punctuated else _UNPUNCTUATED) + (_CLINGING if clinging else 0)
    return abs(widths[0] - widths[1]) + top_heavy + grammar
