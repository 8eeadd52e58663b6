"""How far a text is from its reference: character and word error rates, after the usual normalisation."""

import re
import unicodedata
from collections import Counter

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein, ScoreAlignment

# Typographic quotes and dashes, and what people type for them.
_TYPED: dict[str, str | int | None] = {
    "\u2018": "'",
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u2013": "-",
    "\u2014": "-",
}
_UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_UNITS += ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_THE_SAME = 1e-9

_PART_OF = 80
"""Per cent of a line that must be found in a longer one to be part of it."""

_SPELLINGS = {"mr": "mister", "mrs": "missus", "dr": "doctor", "oh": "zero", "ok": "okay"}


def characters(text: str) -> str:
    """Return a text without its spaces, in one Unicode form, with typographic quotes and dashes made plain."""
    return re.sub(r"\s+", "", _plain(text))


def words(text: str) -> list[str]:
    """Return the words of a text as they sound: lower case, no punctuation, numbers spelled."""
    found: list[str] = []
    for word in re.findall(r"\d+(?:st|nd|rd|th)|\d+|[a-z']+", _plain(text).lower()):
        if word.isdigit():
            found += _spelled(word)
        elif word[0].isdigit():
            found += _ordinal(word[:-2])
        else:
            found.append(_SPELLINGS.get(word, word))
    return found


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate(str.maketrans(_TYPED))


def _spelled(digits: str) -> list[str]:
    if len(digits) > 2 or (len(digits) == 2 and digits[0] == "0"):  # noqa: PLR2004 - read digit by digit
        return [_UNITS[int(digit)] for digit in digits]
    tens, units = divmod(int(digits), 10)
    if tens < 2:  # noqa: PLR2004 - these have names of their own
        return [_UNITS[int(digits)]]
    return [_TENS[tens - 2], _UNITS[units]] if units else [_TENS[tens - 2]]


def _ordinal(digits: str) -> list[str]:
    *before, last = _spelled(digits)
    return [*before, _ORDINALS.get(last, re.sub("y$", "ie", last) + "th")]


def cer(reference: str, hypothesis: str) -> float:
    """Return the character error rate: edits for each character of the reference."""
    expected = characters(reference)
    return Levenshtein.distance(expected, characters(hypothesis)) / max(1, len(expected))


def order_free_cer(reference: str, hypothesis: str) -> float:
    """Return the character error rate with lines matched wherever they stand (after Clausner 2020).

    Lines that are the same are matched first; then lines that are part of one as long or longer, whose rest is matched
    on its own, because engines differ in what they call a line; then whatever is left, as well as it goes. What has no
    counterpart at all counts as errors.
    """
    expected, found = _lines(reference), _lines(hypothesis)
    length = sum(map(len, expected))
    _match_lines(expected, found, _THE_SAME)
    errors = _match_parts(expected, found) + _match_lines(expected, found, 1.0)
    return (errors + sum(map(len, expected)) + sum(map(len, found))) / max(1, length)


def _lines(text: str) -> list[str]:
    return [line for line in map(characters, text.splitlines()) if line]


def _match_lines(expected: list[str], found: list[str], limit: float) -> int:
    """Take out the pairs of lines that differ by less than `limit`, closest first; return the edits between them."""
    pairs = sorted(
        (distance, i, j)
        for i, line in enumerate(expected)
        for j, other in enumerate(found)
        if (distance := Levenshtein.normalized_distance(line, other)) < limit
    )
    matched: dict[int, int] = {}
    for _, i, j in pairs:
        if i not in matched and j not in matched.values():
            matched[i] = j
    errors = sum(Levenshtein.distance(expected[i], found[j]) for i, j in matched.items())
    expected[:] = [line for i, line in enumerate(expected) if i not in matched]
    found[:] = [line for j, line in enumerate(found) if j not in matched.values()]
    return errors


def _match_parts(expected: list[str], found: list[str]) -> int:
    """Take out lines that are part of a longer one on the other side, longest first, and that part; return the edits.

    What the longer one says before and after it stays, as lines of their own.
    """
    errors = 0
    waiting = sorted([(line, True) for line in expected] + [(line, False) for line in found], key=lambda w: -len(w[0]))
    for line, is_expected in waiting:
        own, others = (expected, found) if is_expected else (found, expected)
        places = [(_place(line, other), other) for other in others if len(other) >= len(line)]
        place, whole = max(places, key=lambda found: found[0].score, default=(None, ""))
        if place is None or place.score < _PART_OF or line not in own:
            continue
        part = whole[place.dest_start : place.dest_end]
        errors += Levenshtein.distance(line, part)
        own.remove(line)
        others.remove(whole)
        others += [rest for rest in (whole[: place.dest_start], whole[place.dest_end :]) if rest]
    return errors


def _place(line: str, longer: str) -> ScoreAlignment:
    place = fuzz.partial_ratio_alignment(line, longer)
    assert place is not None
    return place


def words_found(reference: str, hypothesis: str) -> float:
    """Return the share of the reference's words that a text has, each as often, wherever they stand."""
    expected = Counter(reference.split())
    return (expected & Counter(hypothesis.split())).total() / max(1, expected.total())


def word_errors(reference: str, hypothesis: str) -> tuple[int, int]:
    """Return how many words are wrong, of how many in the reference."""
    expected = words(reference)
    return Levenshtein.distance(expected, words(hypothesis)), len(expected)


def wer(reference: str, hypothesis: str) -> float:
    """Return the word error rate: edits for each word of the reference."""
    errors, expected = word_errors(reference, hypothesis)
    return errors / max(1, expected)
