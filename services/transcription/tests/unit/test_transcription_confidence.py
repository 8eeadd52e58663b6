import pytest

from alta_common.contracts.results import Segment
from alta_transcription.engines.confidence import (
    doubting_repetitions,
    is_doubtful,
    is_invented,
    is_loop,
    warnings_of,
)
from alta_transcription.engines.heard import HeardSegment, HeardWord

SURE = {
    "log_probability": -0.3,
    "no_speech_probability": 0.1,
    "compression": 1.4,
    "temperature": 0.0,
    "voice": 0.99,
    "voiced_seconds": 1.5,
}


def heard(
    text: str = "We met in the old town hall.",
    seconds: float = 2.0,
    *,
    words: float = 0.9,
    is_rest: bool = False,
    **found: float,
) -> HeardSegment:
    spoken = [HeardWord(0.0, seconds, word, words) for word in text.split()]
    return HeardSegment(start=0.0, end=seconds, text=text, words=spoken, is_rest=is_rest, **SURE | found)


def a_segment(start_ms: int, end_ms: int, *, low: bool = False, text: str = "x") -> Segment:
    return Segment(start_ms=start_ms, end_ms=end_ms, text=text, confidence=0.5, low_confidence=low, words=[])


BELIEVED = {
    "plain speech": heard(),
    "two people at once": heard(log_probability=-0.89, words=0.53),
    "a poor line": heard(log_probability=-0.99, words=0.61),
    "a string of digits": heard("10001 90210 01 803", log_probability=-0.96, words=0.35),
    "a fast speaker": heard("x" * 60, 2.5),
    "one short word": heard("Yes.", 0.1),
    "an echo of three": heard("No, no, no."),
    "one word held": heard("Oooh", 3.5),
}
DOUBTED = {
    "an improbable answer": heard(log_probability=-1.04),
    "another language at temperature 0": heard(log_probability=-0.85, words=0.49),
    "another language in noise": heard(log_probability=-0.96, words=0.5),
    "an answer at the second try": heard(temperature=0.4),
    "a text that compresses too well": heard(compression=2.9),
    "more than can be said": heard("x" * 90, 2.0),
    "hardly anything for long": heard("You", 9.0),
    "hardly anybody there": heard(voice=0.15),
    "a loop of a word": heard("you you you you you"),
    "a loop of a phrase": heard("Thank you, " * 4),
    "a voice in noise, which the model gives up": heard(no_speech_probability=0.7, log_probability=-2.2),
    "a word after the last full stop": heard("See you.", is_rest=True, temperature=0.8),
}
INVENTED = {
    "no speech and no belief": heard(no_speech_probability=0.7, log_probability=-1.2, voiced_seconds=0.1),
    "a breath after the last word": heard("Thank you.", is_rest=True, log_probability=-0.95, voiced_seconds=0.1),
    "nobody there": heard(voice=0.05),
    "nothing but marks": heard("..."),
}


@pytest.mark.parametrize("kind", BELIEVED)
def test_what_people_say_is_believed(kind: str) -> None:
    assert not is_invented(BELIEVED[kind])
    assert not is_doubtful(BELIEVED[kind])


@pytest.mark.parametrize("kind", DOUBTED)
def test_what_other_languages_and_noise_become_is_doubted(kind: str) -> None:
    assert is_doubtful(DOUBTED[kind])
    assert not is_invented(DOUBTED[kind])


@pytest.mark.parametrize("kind", INVENTED)
def test_words_where_nobody_speaks_are_dropped(kind: str) -> None:
    assert is_invented(INVENTED[kind])


def test_one_signal_of_no_speech_is_not_enough() -> None:
    assert not is_invented(heard(no_speech_probability=0.7, log_probability=-0.4, voiced_seconds=0.1))
    assert not is_invented(heard(no_speech_probability=0.3, log_probability=-1.2, voiced_seconds=0.1))
    assert not is_invented(heard("Yes.", 0.4, is_rest=True, voiced_seconds=0.2))


@pytest.mark.parametrize(
    ("text", "loop"),
    [
        ("", False),
        ("It was the best of times, it was the worst of times, it was the age of wisdom", False),
        ("ha ha ha", False),
        ("ha ha ha ha", True),
        ("and then we went on and then we went on and then we went on and then we went on", True),
    ],
)
def test_a_loop_is_told_from_a_figure_of_speech(text: str, loop: bool) -> None:
    assert is_loop(text) is loop


def test_a_sentence_said_over_and_over_is_doubted_from_the_fourth_time_on() -> None:
    same = [a_segment(1000 * n, 1000 * n + 900, text="Please subscribe.") for n in range(5)]
    other = a_segment(6000, 7000, text="Something else.")
    nods = [a_segment(8000 + 500 * n, 8400 + 500 * n, text="Yes.") for n in range(5)]

    marked = doubting_repetitions([*same, other, *nods])

    assert [segment.low_confidence for segment in marked] == [False] * 3 + [True] * 2 + [False] * 6
    assert doubting_repetitions([]) == []


def test_a_file_is_flagged_when_most_of_it_is() -> None:
    mostly = [a_segment(0, 6000, low=True), a_segment(6000, 10000, low=False)]
    hardly = [a_segment(0, 4000, low=True), a_segment(4000, 10000, low=False)]

    assert warnings_of(mostly, other_language=False, damaged=False) == ["low_confidence_or_unsupported_language"]
    assert warnings_of(hardly, other_language=False, damaged=False) == []


def test_a_language_that_the_model_does_not_know_is_flagged() -> None:
    sure = [a_segment(0, 1000, low=False)]

    assert warnings_of(sure, other_language=True, damaged=False) == ["low_confidence_or_unsupported_language"]


def test_silence_and_damage_are_warnings() -> None:
    assert warnings_of([], other_language=True, damaged=True) == ["no_speech", "partly_damaged"]
    assert warnings_of([], other_language=False, damaged=False, voiced_seconds=0.9) == ["no_speech"]


def test_a_voice_without_words_is_not_silence() -> None:
    found = warnings_of([], other_language=False, damaged=False, voiced_seconds=1.0)

    assert found == ["low_confidence_or_unsupported_language"]
