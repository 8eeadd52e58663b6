"""How far a text is from its reference: character and word error rates, after the usual normalisation."""

import re
import unicodedata
from collections import Counter

from rapidfuzz.distance import Levenshtein

# Typographic quotes and dashes, and what people type for them.
_PLAIN: dict[str, str | int | None] = {
    "\u2018": "'",
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u2013": "-",
    "\u2014": "-",
}
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def characters(text: str) -> str:
    """Return a text without its spaces, in one Unicode form, with typographic quotes and dashes made plain."""
    plain = unicodedata.normalize("NFKC", text).translate(str.maketrans(_PLAIN))
    return re.sub(r"\s+", "", plain)


def words(text: str) -> list[str]:
    """Return the words of a text as they sound: lower case, no punctuation, digits spelled."""
    spelled = re.sub(r"\d", lambda digit: f" {_DIGITS[int(digit.group())]} ", text.lower())
    return re.findall(r"[a-z']+", spelled.replace("-", " "))


def cer(reference: str, hypothesis: str) -> float:
    """Return the character error rate: edits for each character of the reference."""
    expected = characters(reference)
    return Levenshtein.distance(expected, characters(hypothesis)) / max(1, len(expected))


def order_free_cer(reference: str, hypothesis: str) -> float:
    """Return the character error rate with lines matched wherever they stand (after Clausner 2020).

    Each line of the reference takes the closest line that is left; what is left over on either side counts as errors.
    """
    expected = [line for line in map(characters, reference.splitlines()) if line]
    found = [line for line in map(characters, hypothesis.splitlines()) if line]
    pairs = sorted(
        ((Levenshtein.normalized_distance(e, f), i, j) for i, e in enumerate(expected) for j, f in enumerate(found)),
    )
    taken_expected: set[int] = set()
    taken_found: set[int] = set()
    errors = 0
    for distance, i, j in pairs:
        if distance < 1 and i not in taken_expected and j not in taken_found:
            taken_expected.add(i)
            taken_found.add(j)
            errors += Levenshtein.distance(expected[i], found[j])
    errors += sum(len(line) for i, line in enumerate(expected) if i not in taken_expected)
    errors += sum(len(line) for j, line in enumerate(found) if j not in taken_found)
    return errors / max(1, sum(map(len, expected)))


def words_found(reference: str, hypothesis: str) -> float:
    """Return the share of the reference's words that a text has, each as often, wherever they stand."""
    expected = Counter(reference.split())
    return (expected & Counter(hypothesis.split())).total() / max(1, expected.total())


def wer(reference: str, hypothesis: str) -> float:
    """Return the word error rate: edits for each word of the reference."""
    expected = words(reference)
    return Levenshtein.distance(expected, words(hypothesis)) / max(1, len(expected))
