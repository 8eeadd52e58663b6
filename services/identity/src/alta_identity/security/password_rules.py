import math
import unicodedata
from functools import cache

from zxcvbn import feedback, matching, scoring, time_estimates
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from alta_common.errors import FieldError
from alta_identity.models.errors import PasswordRefusedError

MIN_CHARACTERS = 12
MAX_CHARACTERS = 128
MIN_SCORE = 3
SHORTEST_OWN_WORD = 3

# zxcvbn takes seconds for some long or oddly spelled passwords (measured: 3.7 s for 72 characters), which would be a
# cheap way to stop the service. Two bounds keep it under 50 ms. A password is judged in pieces of this length, and one
# good piece makes it good: what surrounds it only adds guesses.
PIECE = 36
# And where symbols that stand for one letter would be combined in more ways than this, they are folded into one symbol.
MOST_SPELLINGS = 8
FOLDED = str.maketrans("{[<@!|$+", "(((41157")


def normalised(password: str) -> str:
    """Return the password in NFKC, so that it is the same from every keyboard (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


class PasswordRules:
    """Which passwords are good enough: long, not common, not the account's own words, hard to guess (zxcvbn ≥ 3)."""

    def __init__(self, *, min_characters: int = MIN_CHARACTERS, max_characters: int = MAX_CHARACTERS) -> None:
        self._min = min_characters
        self._max = max_characters

    def check(self, password: str, own_words: list[str]) -> None:
        """Raise `PasswordRefusedError` that says why, unless the password is good enough.

        `own_words` are what an attacker who knows the account would try: its address, its owner's name.
        """
        reason = self._refusal(normalised(password), _words(own_words))
        if reason is not None:
            raise PasswordRefusedError("this password would be too easy to guess", [FieldError("/password", reason)])

    def _refusal(self, password: str, own_words: list[str]) -> str | None:
        if len(password) < self._min:
            return f"it has {len(password)} characters; at least {self._min} are needed"
        if len(password) > self._max:
            return f"it has {len(password)} characters; at most {self._max} are possible"
        if password.casefold() in common_passwords():
            return "it is one of the most common passwords"
        if _is_made_of(password.casefold(), own_words):
            return "it is made of your own name or address"
        return _why_guessable(password, own_words)


@cache
def common_passwords() -> frozenset[str]:
    """Return the passwords that people choose most: the 30,000 that zxcvbn ships."""
    return frozenset(FREQUENCY_LISTS["passwords"])


def _words(own_words: list[str]) -> list[str]:
    parts = {part for word in own_words for part in [word.casefold(), *_split(word.casefold())]}
    return sorted((part for part in parts if len(part) >= SHORTEST_OWN_WORD), key=lambda part: (-len(part), part))


def _split(word: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in word).split()


def _is_made_of(password: str, own_words: list[str]) -> bool:
    rest = password
    for word in own_words:
        rest = rest.replace(word, "")
    return len(rest) <= len(password) // 2


def _why_guessable(password: str, own_words: list[str]) -> str | None:
    dictionaries = {**matching.RANKED_DICTIONARIES, "user_inputs": matching.build_ranked_dict(own_words)}
    reason = ""
    for start in range(0, len(password), PIECE):
        piece = _bounded(password[start : start + PIECE])
        # Not `zxcvbn()` itself: it keeps the own words of one caller in a global that every thread reads.
        found = scoring.most_guessable_match_sequence(piece, matching.omnimatch(piece, dictionaries))
        score = time_estimates.guesses_to_score(found["guesses"])
        if score >= MIN_SCORE:
            return None
        reason = reason or _advice(score, found["sequence"])
    return reason


def _bounded(piece: str) -> str:
    symbols = matching.relevant_l33t_subtable(piece, matching.L33T_TABLE)
    spellings = math.prod(len(found) for found in symbols.values())
    return piece.translate(FOLDED) if spellings > MOST_SPELLINGS else piece


def _advice(score: int, sequence: list[dict[str, object]]) -> str:
    advice = feedback.get_feedback(score, sequence)
    sentences = [str(sentence) for sentence in [advice["warning"], *advice["suggestions"]] if sentence]
    return " ".join(sentences) or "Add another word or two. Uncommon words are better."
