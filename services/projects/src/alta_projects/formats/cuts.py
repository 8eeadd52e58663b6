"""Where a stream of words is cut into captions: the cheapest way to cut it, by what viewers mind.

Dynamic programming over the words between long pauses. A caption holds some twenty words, so the work grows with the
length of the recording: ten hours take seconds.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from alta_projects.formats.spoken import TimedWord
from alta_projects.formats.strings import columns

# Nothing is said for so long: what is on the screen goes.
_LONG_PAUSE_MS = 1000
# A breath: a good place to cut.
_PAUSE_MS = 300

# With the ideographic full stop and comma, and the fullwidth forms of the others.
SENTENCE_ENDS = (".", "?", "!", "\u2026", "\u3002", "\uff1f", "\uff01")
CLAUSE_ENDS = (",", ";", ":", "\u2013", "\u2014", "\u3001", "\uff0c", "\uff1b", "\uff1a")
# Articles, prepositions and conjunctions belong to what follows; in the languages of Europe most have so few letters.
_CLINGING_LETTERS = 3
_CLOSING = "\"')]\u2019\u201d\u00bb\u300d\u300f"
# A full stop after these, and after an initial, ends nothing.
_ABBREVIATIONS = frozenset({"mr.", "mrs.", "ms.", "dr.", "st.", "prof.", "rev.", "vs.", "hr.", "fr.", "sr.", "mme."})

# What a cut costs, in captions: one after a sentence is free.
_CAPTION = 1.0
_CUT_AFTER_CLAUSE = 0.5
_CUT_AT_PAUSE = 0.6
_CUT_ANYWHERE = 2.0
_CUT_AFTER_CLINGING = 0.6
_SENTENCE_END_INSIDE = 1.5
_ONE_WORD = 0.5
_TOO_SHORT = 3.0
_TOO_FAST = 1.5
# For each second that is still said of a caption after another has begun to speak: theirs takes its place.
_TALKED_OVER_A_SECOND = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a caption keeps to."""

    columns: int
    lines: int
    shortest_ms: int
    longest_ms: int
    columns_a_second: float

    def time_to_read_ms(self, width: int) -> int:
        """Return how long a caption of `width` columns should be seen."""
        return max(self.shortest_ms, math.ceil(1000 * width / self.columns_a_second))


def cut(words: list[TimedWord], limits: Limits) -> list[list[TimedWord]]:
    """Return `words` in captions of one voice each, in the order of their first words.

    Only a single word may last longer than `limits` say.
    """
    places_of: defaultdict[int, list[int]] = defaultdict(list)
    for place, word in enumerate(words):
        places_of[word.voice].append(place)
    runs = [_Run(words, run, limits) for places in places_of.values() for run in _runs(words, places)]
    phrases = [phrase for run in runs for phrase in run.phrases()]
    return sorted(phrases, key=lambda phrase: phrase[0].start_ms)


def _runs(words: list[TimedWord], places: list[int]) -> Iterator[list[int]]:
    """Yield the stretches of one voice that no caption may reach over: without a long pause or another's turn."""
    first = 0
    for i in range(1, len(places)):
        before, after = words[places[i - 1]], words[places[i]]
        pause_ms = after.start_ms - before.end_ms
        # Who is talked over goes on; who has paused meanwhile has been answered.
        is_answered = places[i] > places[i - 1] + 1 and (before.ends_segment or pause_ms >= _PAUSE_MS)
        if pause_ms >= _LONG_PAUSE_MS or is_answered:
            yield places[first:i]
            first = i
    yield places[first:]


class _Run:
    """The cheapest way to cut the words at `places`, which one voice says."""

    def __init__(self, words: list[TimedWord], places: Sequence[int], limits: Limits) -> None:
        self._words = [words[place] for place in places]
        self._limits = limits
        self._widths = [columns(word.text) for word in self._words]
        self._cut_costs = [self._cut_cost(i) for i in range(len(self._words))]
        self._ends_sentence = [_ends_sentence(word.text) for word in self._words]
        # When others begin to speak after each word but the last; infinity where they do not.
        self._interruptions = [
            words[before + 1].start_ms if after > before + 1 else math.inf for before, after in pairwise(places)
        ]
        following = places[-1] + 1
        last = words[following].start_ms if following < len(words) else self._words[-1].end_ms + limits.longest_ms
        self._next_starts = [*(word.start_ms for word in self._words[1:]), last]

    def phrases(self) -> list[list[TimedWord]]:
        count = len(self._words)
        costs = [0.0, *[math.inf] * count]
        begins = [0] * (count + 1)
        for first in range(count):
            for end, cost in self._captions(first):
                if costs[first] + cost < costs[end]:
                    costs[end] = costs[first] + cost
                    begins[end] = first
        phrases = []
        end = count
        while end:
            phrases.append(self._words[begins[end] : end])
            end = begins[end]
        return phrases[::-1]

    def _captions(self, first: int) -> Iterator[tuple[int, float]]:
        """Yield where a caption that begins with `first` may end (exclusive), and what it costs."""
        start_ms = self._words[first].start_ms
        width, line, line_count = 0, 0, 1
        sentences_inside = 0
        for i in range(first, len(self._words)):
            space = int(self._words[i].is_apart and i > first)
            if line and line + space + self._widths[i] > self._limits.columns:
                line, line_count = self._widths[i], line_count + 1
            else:
                line += space + self._widths[i]
            width += space + self._widths[i]
            is_too_long = self._words[i].end_ms - start_ms > self._limits.longest_ms
            if i > first and (line_count > self._limits.lines or is_too_long):
                return
            cost = _CAPTION + self._cut_costs[i] + _SENTENCE_END_INSIDE * sentences_inside
            cost += _ONE_WORD if i == first else 0.0
            talked_over_ms = self._words[i].end_ms - min(self._interruptions[first:i], default=math.inf)
            cost += _TALKED_OVER_A_SECOND * max(0.0, talked_over_ms / 1000)
            yield i + 1, cost + self._haste(self._next_starts[i] - start_ms, width)
            sentences_inside += self._ends_sentence[i]

    def _haste(self, seen_ms: int, width: int) -> float:
        """Return what it costs that a caption of `width` columns can be seen for `seen_ms` at most."""
        too_short = max(0.0, 1 - seen_ms / self._limits.shortest_ms)
        too_fast = max(0.0, 1 - seen_ms / self._limits.time_to_read_ms(width))
        return _TOO_SHORT * too_short + _TOO_FAST * too_fast

    def _cut_cost(self, i: int) -> float:
        """Return what it costs to cut after word `i`."""
        word = self._words[i]
        if i == len(self._words) - 1 or _ends_sentence(word.text):
            return 0.0
        if ends_with(word.text, CLAUSE_ENDS):
            return _CUT_AFTER_CLAUSE
        is_pause = self._words[i + 1].start_ms - word.end_ms >= _PAUSE_MS
        clinging = _CUT_AFTER_CLINGING if clings(word.text) else 0.0
        return (_CUT_AT_PAUSE if is_pause or word.ends_segment else _CUT_ANYWHERE) + clinging


def clings(text: str) -> bool:
    """Say whether a word is likely to belong to the next one, as "the" and "of" do."""
    return len(text) <= _CLINGING_LETTERS and text.isalpha() and text.islower()


def ends_with(text: str, marks: tuple[str, ...]) -> bool:
    """Say whether `text` ends with one of `marks`, quotes and brackets left aside."""
    return text.rstrip(_CLOSING).endswith(marks)


def _ends_sentence(text: str) -> bool:
    bare = text.lstrip("\"'([\u2018\u201c")
    is_initial = bare[:1].isupper() and bare[:1] != "I" and bare[1:] == "."
    return ends_with(text, SENTENCE_ENDS) and not is_initial and bare.casefold() not in _ABBREVIATIONS
