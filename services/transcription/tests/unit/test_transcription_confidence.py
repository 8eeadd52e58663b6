import pytest

from alta_common.contracts.results import Segment
from alta_transcription.engines.confidence import is_doubtful, is_invented, warnings_of


def a_segment(start_ms: int, end_ms: int, *, low: bool) -> Segment:
    return Segment(start_ms=start_ms, end_ms=end_ms, text="x", confidence=0.5, low_confidence=low, words=[])


@pytest.mark.parametrize(
    ("log_probability", "temperature", "compression", "words", "doubtful"),
    [
        (-0.3, 0.0, 1.4, [0.9, 0.8], False),
        (-0.99, 0.0, 1.4, [0.55, 0.5], False),
        (-0.86, 0.0, 0.7, [0.3, 0.4], False),  # a string of digits
        (-1.04, 0.0, 1.1, [0.5], True),
        (-0.95, 0.0, 1.1, [0.33, 0.47], True),
        (-0.5, 0.4, 1.1, [0.9], True),
        (-0.2, 0.0, 2.9, [0.9], True),
        (-0.95, 0.0, 1.1, [], False),
    ],
)
def test_what_other_languages_and_noise_become_is_doubted(
    log_probability: float, temperature: float, compression: float, words: list[float], doubtful: bool
) -> None:
    assert is_doubtful(log_probability, temperature, compression, words) is doubtful


def test_words_that_the_model_heard_in_silence_are_dropped() -> None:
    assert is_invented(0.7, -1.2)
    assert not is_invented(0.7, -0.4)
    assert not is_invented(0.3, -1.2)


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
