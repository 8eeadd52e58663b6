import pytest

from alta_common.testing.texts import cer, order_free_cer, wer, word_errors, words

PAGE = "The harbour was quiet\nthat Tuesday morning\nThree boats lay at the pier"


def test_the_same_text_has_no_errors_however_it_is_typed() -> None:
    assert cer("\u201cIt\u2019s  here\u201d \u2013 ok", '"It\'s here" - ok') == 0
    assert order_free_cer(PAGE, PAGE) == 0


def test_lines_may_stand_anywhere_and_be_cut_elsewhere() -> None:
    lines = PAGE.split("\n")

    assert order_free_cer(PAGE, "\n".join(reversed(lines))) == 0
    assert order_free_cer(PAGE, "\n".join([lines[2], f"{lines[0]} {lines[1]}"])) == 0
    assert order_free_cer(PAGE, "Three boats\nlay at the pier\nThe harbour was quiet\nthat Tuesday morning") == 0


@pytest.mark.parametrize(
    ("found", "errors"),
    [
        (PAGE.replace("boats", "goats"), 1),
        (PAGE.replace("that Tuesday morning\n", ""), 18),
        (PAGE + "\nXXXX", 4),
        ("", 58),
    ],
)
def test_what_is_wrong_missing_or_invented_counts(found: str, errors: int) -> None:
    assert order_free_cer(PAGE, found) == pytest.approx(errors / 58)


def test_words_are_compared_as_they_sound() -> None:
    assert " ".join(words("Mr. Smith, the 21st: 42, 007!")) == "mister smith the twenty first forty two zero zero seven"
    assert words("the 30th of 16") == ["the", "thirtieth", "of", "sixteen"]
    assert word_errors("One, two; three.", "1 2 four") == (1, 3)
    assert wer("One, two; three.", "1 2 four") == pytest.approx(1 / 3)
