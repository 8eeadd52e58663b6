"""Captions by the rules of subtitlers, read by srt and webvtt-py."""

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import srt as srt_reader
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from alta_common.contracts.results import SpokenWord
from alta_projects.formats.cues import Cue, cues_of
from alta_projects.formats.srt import srt
from alta_projects.formats.strings import columns
from alta_projects.formats.vtt import vtt

STORY = (
    "Mr. Smith went to town on Monday, because the market was open. He bought three apples and a pear. "
    "Then, after a long walk through the old forest, he came back home and slept until the next morning "
    "without once waking up."
)


def text_of(cues: list[Cue]) -> str:
    return " ".join(line.removeprefix("- " * (len(cue.speakers) - 1)) for cue in cues for line in cue.lines)


def assert_kept(cues: list[Cue]) -> None:
    """What holds whatever was said."""
    for cue in cues:
        assert 1 <= len(cue.lines) <= 2
        assert all(0 < columns(line) <= 42 for line in cue.lines)
        assert 833 <= cue.end_ms - cue.start_ms <= 7000
    assert all(one.end_ms + 80 <= other.start_ms for one, other in pairwise(cues))


def test_captions_end_where_sentences_and_clauses_do(make: Any) -> None:
    cues = cues_of(make.transcript(make.segment(STORY, 500)))

    assert_kept(cues)
    assert [cue.lines for cue in cues] == [
        ["Mr. Smith went to town on Monday,", "because the market was open."],
        ["He bought three apples and a pear."],
        ["Then, after a long walk", "through the old forest,"],
        ["he came back home and slept until", "the next morning without once waking up."],
    ]
    assert cues[0].start_ms == 500
    assert all(cue.end_ms - cue.start_ms >= 1000 for cue in cues)


def test_a_caption_stays_until_it_is_read_if_nothing_follows(make: Any) -> None:
    quick = "This is said much faster than it can be read"
    result = make.transcript(
        make.segment("No.", 0, pace_ms=200), make.segment(quick, 5000, pace_ms=100), duration_ms=60_000
    )

    short, fast = cues_of(result)

    assert (short.start_ms, short.end_ms) == (0, 1000)
    assert fast.end_ms - fast.start_ms >= 1000 * len(quick) / 17


def test_two_frames_tell_captions_apart_and_shorter_gaps_than_half_a_second_are_closed(make: Any) -> None:
    near = make.transcript(make.segment("Go on!", 0, pace_ms=200), make.segment("Near enough then.", 1400))
    far = make.transcript(make.segment("Go on!", 0, pace_ms=200), make.segment("Far away then.", 1600))
    tight = make.transcript(make.segment("a few words are said. " * 8, 0, pace_ms=350))

    assert next((cue.start_ms, cue.end_ms) for cue in cues_of(near)) == (0, 1320)
    assert next((cue.start_ms, cue.end_ms) for cue in cues_of(far)) == (0, 1000)
    assert all(other.start_ms - one.end_ms == 80 for one, other in pairwise(cues_of(tight)))


def test_what_people_say_can_be_read_at_the_pace_they_say_it(make: Any) -> None:
    call = " ".join((Path(__file__).parents[4] / "samples/text/support-call.txt").read_text().split())
    # 14 characters a second.
    cues = cues_of(make.transcript(make.segment(call, 0, words=[], end_ms=len(call) * 1000 // 14)))

    assert_kept(cues)
    speeds = [sum(map(columns, cue.lines)) * 1000 / (cue.end_ms - cue.start_ms) for cue in cues]
    assert max(speeds) <= 20
    assert sum(speed > 17 for speed in speeds) <= len(cues) // 4
    assert all(cue.end_ms - cue.start_ms >= 1000 for cue in cues)
    assert all(other.start_ms - one.end_ms >= 80 for one, other in pairwise(cues))
    # No word alone on a line, no line that leaves "the" or "of" behind.
    lines = [line for cue in cues if len(cue.lines) == 2 for line in cue.lines]
    assert all(" " in line for line in lines)
    assert not any(line.endswith((" the", " of", " a", " to", " and")) for cue in cues for line in cue.lines)


def test_no_caption_reaches_over_a_long_pause_or_two_speakers(make: Any) -> None:
    cues = cues_of(
        make.transcript(
            make.segment("and then", 0, speaker="A"),
            make.segment("he said to me", 2000, speaker="A"),
            make.segment("yes I do see", 3200, speaker="B"),
        )
    )

    assert_kept(cues)
    assert [cue.lines for cue in cues] == [["and then"], ["he said to me"], ["yes I do see"]]
    assert [cue.speakers for cue in cues] == [("A",), ("A",), ("B",)]


def test_the_last_caption_comes_earlier_when_the_recording_ends_too_soon(make: Any) -> None:
    cues = cues_of(make.transcript(make.segment("See you.", 0), make.segment("Bye.", 9700), duration_ms=10_000))

    assert_kept(cues)
    assert (cues[-1].start_ms, cues[-1].end_ms) == (10_000 - 833, 10_000)


def test_the_last_caption_outlasts_the_recording_when_there_is_no_room_before_it(make: Any) -> None:
    told = make.segment("All that I want to say is that it is perfectly fine.", 0, pace_ms=200, speaker="A")
    cues = cues_of(make.transcript(told, make.segment("Bye.", 2500, speaker="B"), duration_ms=2800))

    assert_kept(cues)
    # "fine." is said until 2400.
    assert (cues[-1].start_ms, cues[-1].end_ms) == (2480, 2480 + 833)


def test_who_speaks_while_another_does_is_shown_when_it_is_said(make: Any) -> None:
    told = "I went down to the market, because I wanted some very good apples. They had none, so I left."
    result = make.transcript(
        make.segment(told, 0, pace_ms=500, speaker="A"), make.segment("Yes exactly", 2000, pace_ms=300, speaker="B")
    )

    cues = cues_of(result)

    assert_kept(cues)
    assert [(cue.start_ms, cue.lines) for cue in cues] == [
        (0, ["I went down to the market,"]),
        (2000, ["Yes exactly"]),
        (3000, ["because I wanted some very good apples."]),
        (6500, ["They had none, so I left."]),
    ]


def test_words_of_unnamed_people_who_speak_at_once_are_not_mixed(make: Any) -> None:
    cues = cues_of(
        make.transcript(make.segment("one two three four five six seven", 0), make.segment("Yes exactly", 700))
    )

    assert_kept(cues)
    assert [cue.lines for cue in cues] == [["one two three four five six seven"], ["Yes exactly"]]


def test_two_who_answer_each_other_quickly_share_a_caption(make: Any) -> None:
    result = make.transcript(
        make.segment("Are you sure about it?", 0, speaker="A"),
        make.segment("Yes.", 4000, speaker="B"),
        make.segment("No.", 4350, speaker="C"),
        make.segment("One of you has to be wrong.", 4700, speaker="A"),
    )

    cues = cues_of(result)

    assert_kept(cues)
    assert [cue.lines for cue in cues] == [
        ["Are you sure about it?"],
        ["- Yes.", "- No."],
        ["One of you has to be wrong."],
    ]
    assert cues[1].speakers == ("B", "C")
    assert "<v B>- Yes.</v>\n<v C>- No.</v>\n" in vtt(result)
    assert "- Yes.\n- No.\n" in srt(result)
    assert [caption.text for caption in webvtt.from_string(vtt(result))] == ["\n".join(cue.lines) for cue in cues]


def test_who_is_answered_in_a_pause_goes_on_in_a_caption_of_their_own(make: Any) -> None:
    words = [
        SpokenWord(start_ms=start, end_ms=start + 300, text=text, confidence=None)
        for text, start in (("Are", 0), ("you", 300), ("coming?", 600), ("Good.", 2300))
    ]
    question = make.segment("Are you coming? Good.", 0, words=words, speaker="A", end_ms=2600)

    cues = cues_of(make.transcript(question, make.segment("Yes I am.", 1000, speaker="B"), duration_ms=10_000))

    assert_kept(cues)
    assert [cue.lines for cue in cues] == [["Are you coming?"], ["Yes I am."], ["Good."]]


def test_segments_without_words_are_spread_over_their_time(make: Any) -> None:
    cues = cues_of(make.transcript(make.segment(STORY, 1000, words=[], end_ms=16_000)))

    assert_kept(cues)
    assert text_of(cues) == STORY
    assert (cues[0].start_ms, cues[-1].end_ms) == (1000, 16_000)


def test_words_without_spaces_are_not_torn_apart_by_any(make: Any) -> None:
    said = "今天天气很好\uff0c我们一起去公园散步吧。" * 5
    words = [
        SpokenWord(start_ms=250 * i, end_ms=250 * (i + 1), text=one, confidence=None) for i, one in enumerate(said)
    ]

    cues = cues_of(make.transcript(make.segment(said, 0, words=words, end_ms=250 * len(said))))

    assert_kept(cues)
    assert "".join("".join(cue.lines) for cue in cues) == said
    assert all(cue.lines[-1].endswith(("\uff0c", "。")) for cue in cues)


def test_a_word_wider_than_a_line_is_cut(make: Any) -> None:
    cues = cues_of(make.transcript(make.segment("x" * 100, 0, pace_ms=9000)))

    assert_kept(cues)
    assert "".join("".join(cue.lines) for cue in cues) == "x" * 100


def test_a_vowel_stays_with_the_letter_that_it_stands_over(make: Any) -> None:
    # Every letter has the vowel "sara i" over it, which is in no class of combining marks.
    cues = cues_of(make.transcript(make.segment("\u0e1a\u0e34" * 63, 0, pace_ms=9000)))

    lines = [line for cue in cues for line in cue.lines]
    assert "".join(lines) == "\u0e1a\u0e34" * 63
    assert all(line.startswith("\u0e1a") for line in lines)
    assert [columns(line) for line in lines] == [42, 21]


@pytest.mark.parametrize("pace_ms", [0, 1])
def test_words_of_no_length_still_give_captions_in_order(make: Any, pace_ms: int) -> None:
    cues = cues_of(make.transcript(make.segment(STORY, 100, pace_ms=pace_ms), make.segment("later", 0)))

    assert_kept(cues)
    assert set(text_of(cues).split()) == {*STORY.split(), "later"}


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.text("abW.,!? \x00中", max_size=60),
            st.integers(0, 20_000),
            st.integers(0, 3000),
            st.booleans(),
            st.sampled_from([None, "A", "B"]),
        ),
        max_size=6,
    )
)
def test_whatever_was_said_the_rules_are_kept(make: Any, said: list[tuple[str, int, int, bool, str | None]]) -> None:
    segments = [
        make.segment(text, start, pace_ms=pace, speaker=speaker, **({} if has_words else {"words": []}))
        for text, start, pace, has_words, speaker in said
    ]
    result = make.transcript(*segments)

    cues = cues_of(result)

    assert_kept(cues)
    spoken = "".join(text.replace("\x00", "") for text, *_ in sorted(said, key=lambda one: one[1]))
    assert sorted(text_of(cues).replace(" ", "")) == sorted("".join(spoken.split()))
    assert [len(cues)] * 2 == [len(list(srt_reader.parse(srt(result)))), len(webvtt.from_string(vtt(result)))]


def test_srt_is_read_by_others(make: Any) -> None:
    result = make.transcript(make.segment(STORY, 3_600_000), make.segment("a --> b", 3_700_000))

    read = list(srt_reader.parse(srt(result), ignore_errors=False))

    assert [one.index for one in read] == list(range(1, len(read) + 1))
    assert read[0].start == timedelta(hours=1)
    cues = cues_of(result)
    assert [one.content for one in read] == ["\n".join(cue.lines).replace("-->", "->") for cue in cues]
    assert [round(one.end / timedelta(milliseconds=1)) for one in read] == [cue.end_ms for cue in cues]
    assert "\r" not in srt(result)


@pytest.mark.parametrize("arrow", ["-->", "--->", "<----->"])
def test_nothing_that_is_said_in_srt_is_an_arrow(make: Any, arrow: str) -> None:
    written = srt(make.transcript(make.segment(f"from here {arrow} to there", 0)))

    assert written.count("-->") == 1
    assert "->" in written.splitlines()[2]


def test_vtt_is_read_by_others(make: Any) -> None:
    result = make.transcript(
        make.segment("a --> b & <i>c</i>", 3_600_000, speaker="Ada <1>\n& co"), make.segment("Bye.", 3_610_000)
    )

    first, last = webvtt.from_string(vtt(result))

    assert (first.start, first.raw_text) == (
        "01:00:00.000",
        "<v Ada &lt;1&gt; &amp; co>a --&gt; b &amp; &lt;i&gt;c&lt;/i&gt;",
    )
    assert (last.text, last.voice) == ("Bye.", None)


def test_silence_has_no_captions(make: Any) -> None:
    silence = make.transcript(duration_ms=5000)

    assert srt(silence) == ""
    assert vtt(silence) == "WEBVTT\n"
    assert len(webvtt.from_string(vtt(silence))) == 0
