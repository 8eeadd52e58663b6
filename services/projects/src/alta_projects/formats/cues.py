"""Captions as subtitlers make them (after the BBC's and Netflix's guides, and EBU's): where to cut, how long to show.

At most two lines of 42 columns; 1-7 s, and never less than 5/6 s; 17 columns a second where the speech allows it. A
Chinese or Japanese character takes two columns, which makes 21 a line and 8.5 a second. Two people who answer each
other faster than that share a caption, a line with a dash for each.
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

# 20 frames of 24 a second: whatever is shown more briefly is seen, but not read.
_SHORTEST_MS = 833
# What is asked so long ago has been answered by silence: it is no exchange.
_LONG_PAUSE_MS = 1000
_DASH = "- "

# Columns of imbalance that a break after punctuation is worth; a second line that is longer, as it hides less; and a
# line that does not end in "the" or "of".
_UNPUNCTUATED = 12
_TOP_HEAVY = 4
_CLINGING = 8


@dataclass(frozen=True, slots=True)
class Cue:
    """A caption: its lines and when it is shown. Cues never overlap.

    `speakers` is who says it; where two people share it, who says each line.
    """

    start_ms: int
    end_ms: int
    lines: list[str]
    speakers: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class _Caption:
    """What is shown together: a phrase, or one from each of two speakers."""

    phrases: list[list[TimedWord]]

    @property
    def said_from_ms(self) -> int:
        return self.phrases[0][0].start_ms

    @property
    def said_until_ms(self) -> int:
        return max(phrase[-1].end_ms for phrase in self.phrases)

    @property
    def lines(self) -> list[str]:
        if len(self.phrases) == 1:
            return _lines(self.phrases[0])
        return [_DASH + text_of(phrase) for phrase in self.phrases]

    def wanted_end_ms(self, start_ms: int) -> int:
        """Return until when it is shown if nothing follows: until it is said and read, for 7 s at most."""
        to_read_ms = LIMITS.time_to_read_ms(sum(columns(text_of(phrase)) for phrase in self.phrases))
        return min(max(self.said_until_ms, start_ms + to_read_ms), start_ms + LIMITS.longest_ms)

    def takes(self, answer: list[TimedWord], latest_ms: int) -> bool:
        """Say whether `answer`, which has to go at `latest_ms`, should be shown together with this."""
        if len(self.phrases) > 1 or self.phrases[0][0].speaker == answer[0].speaker:
            return False
        starts_ms = answer[0].start_ms
        is_short = min(starts_ms - _GAP_MS - self.said_from_ms, latest_ms - starts_ms) < _SHORTEST_MS
        is_near = starts_ms - self.said_until_ms < _LONG_PAUSE_MS
        fits = all(columns(_DASH + text_of(phrase)) <= LIMITS.columns for phrase in (*self.phrases, answer))
        return is_short and is_near and fits and answer[-1].end_ms - self.said_from_ms <= LIMITS.longest_ms


def cues_of(result: TranscriptResult) -> list[Cue]:
    """Return a transcript as captions, in the order of time."""
    phrases = cut(timed_words(result, LIMITS.columns), LIMITS)
    last_ms = max([result.duration_ms, *(phrase[-1].end_ms for phrase in phrases)])
    captions = _captions(phrases, last_ms)
    starts = _starts(captions, last_ms)
    cues = []
    for i, (caption, start) in enumerate(zip(captions, starts, strict=True)):
        following = starts[i + 1] if i + 1 < len(captions) else None
        speakers = tuple(phrase[0].speaker for phrase in caption.phrases)
        cues.append(Cue(start, _end(caption, start, following, last_ms), caption.lines, speakers))
    return cues


def _captions(phrases: list[list[TimedWord]], last_ms: int) -> list[_Caption]:
    """Return phrases as they are shown, those of a quick exchange together."""
    captions: list[_Caption] = []
    for i, phrase in enumerate(phrases):
        latest = phrases[i + 1][0].start_ms - _GAP_MS if i + 1 < len(phrases) else last_ms
        if captions and captions[-1].takes(phrase, latest):
            captions[-1].phrases.append(phrase)
        else:
            captions.append(_Caption([phrase]))
    return captions


def _starts(captions: list[_Caption], last_ms: int) -> list[int]:
    """Return when captions come: with what is said; earlier, or else later, where one could not be read otherwise."""
    starts: list[int] = []
    for i, caption in enumerate(captions):
        said = caption.said_from_ms
        earliest = 0
        if i:
            before_goes = min(captions[i - 1].said_until_ms, said - _GAP_MS)
            earliest = max(starts[-1] + _SHORTEST_MS, before_goes) + _GAP_MS
        latest = captions[i + 1].said_from_ms - _GAP_MS if i + 1 < len(captions) else last_ms
        starts.append(max(earliest, min(said, latest - _SHORTEST_MS)))
    return starts


def _end(caption: _Caption, start: int, following: int | None, last_ms: int) -> int:
    """Return when a caption goes: said and read, but before the next one comes, and in the recording's time."""
    wanted = caption.wanted_end_ms(start)
    if following is None:
        # A little after the recording's end, if there was no room before it.
        return max(min(wanted, last_ms), start + _SHORTEST_MS)
    latest = following - _GAP_MS
    if latest - wanted < _FLICKER_MS - _GAP_MS:
        return min(latest, start + LIMITS.longest_ms)
    return wanted


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
