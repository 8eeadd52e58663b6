"""Where somebody speaks, and what the model is given at a time."""

import numpy as np
import pytest

from alta_transcription.engines.audio import SAMPLE_RATE
from alta_transcription.engines.levels import levelled
from alta_transcription.engines.voice import (
    FRAME,
    FRAMES_A_SECOND,
    best_cut,
    cut_where_nobody_speaks,
    stretches,
    voice_in,
)
from alta_transcription.engines.windows import Window, windows_of


def voice_of(*parts: tuple[float, float]) -> np.ndarray:
    """Probabilities for so many seconds each."""
    return np.concatenate([np.full(round(seconds * FRAMES_A_SECOND), level) for seconds, level in parts])


def seconds(frames: int) -> float:
    return frames / FRAMES_A_SECOND


def loudness(samples: np.ndarray) -> float:
    return float(np.sqrt(np.square(samples).mean()))


def test_pauses_within_speech_are_kept_and_silence_is_not() -> None:
    voice = voice_of((5, 0.0), (3, 0.9), (1.5, 0.05), (3, 0.9), (10, 0.0), (2, 0.9))

    (first, other) = stretches(voice)

    assert [seconds(edge) for edge in first] == pytest.approx([4.5, 13], abs=0.1)
    assert [seconds(edge) for edge in other] == pytest.approx([22, 24.5], abs=0.1)


def test_a_click_is_nobody_and_a_faint_voice_somebody() -> None:
    assert stretches(voice_of((5, 0.0), (0.06, 0.6), (5, 0.0))) == []
    assert stretches(voice_of((5, 0.25))) == []
    assert len(stretches(voice_of((5, 0.0), (0.3, 0.35), (1, 0.2), (5, 0.0)))) == 1


def test_it_is_cut_in_the_longest_pause() -> None:
    assert seconds(best_cut(voice_of((4, 0.9), (0.5, 0.0), (4, 0.9), (1, 0.0), (4, 0.9)))) == pytest.approx(9, abs=0.1)


def test_without_a_pause_it_is_cut_where_a_voice_is_least_probable() -> None:
    assert seconds(best_cut(voice_of((4, 0.9), (0.3, 0.5), (4, 0.9)))) == pytest.approx(4.15, abs=0.15)


def test_a_window_holds_28_seconds_of_speech_at_most_and_all_of_it() -> None:
    sentence = ((6.0, 0.9), (0.4, 0.02))
    voice = voice_of(*sentence * 20)

    windows = windows_of(voice, voice.size * FRAME)

    edges = [edge for window in windows for edge in window.stretches]
    assert all(window.seconds <= 28.1 for window in windows)
    assert edges[0][0] == 0
    assert edges[-1][1] == voice.size * FRAME
    assert [end for _, end in edges[:-1]] == [first for first, _ in edges[1:]]
    # Each seam lies in a pause.
    assert all(voice[first // FRAME] < 0.1 for first, _ in edges[1:])


def test_phrases_far_apart_share_a_window_and_keep_their_times() -> None:
    voice = voice_of((60, 0.0), (2, 0.9), (100, 0.0), (2, 0.9), (60, 0.0))

    (window,) = windows_of(voice, voice.size * FRAME)

    assert window.seconds == pytest.approx(6, abs=0.2)
    assert window.place(1.0, 1.5) == (0, pytest.approx(60.5, abs=0.1), pytest.approx(61.0, abs=0.1))
    assert window.place(4.0, 4.4) == (1, pytest.approx(162.5, abs=0.1), pytest.approx(162.9, abs=0.1))
    assert window.place(98.0, 99.0) == (1, window.end_seconds, window.end_seconds)


def test_a_word_lies_on_one_side_of_a_silence() -> None:
    window = Window(((0, 3 * SAMPLE_RATE), (50 * SAMPLE_RATE, 52 * SAMPLE_RATE)))

    assert window.place(2.2, 3.4) == (0, 2.2, 3.0)
    assert window.place(2.6, 3.8) == (1, 50.0, 50.8)


def test_the_samples_of_a_window_are_those_of_its_stretches() -> None:
    chunk = np.arange(100, dtype=np.float32)

    assert Window(((10, 12), (50, 53))).samples(chunk).tolist() == [10, 11, 50, 51, 52]


def test_nobody_gives_no_window() -> None:
    assert windows_of(voice_of((60, 0.05)), round(60 * SAMPLE_RATE)) == []
    assert windows_of(voice_in(np.zeros(0, dtype=np.float32)), 0) == []


def test_quiet_and_loud_speakers_come_to_one_level() -> None:
    tone = np.sin(np.arange(20 * SAMPLE_RATE) * 0.1).astype(np.float32)
    quiet, loud = 0.003 * tone, 0.6 * tone

    both = levelled(np.concatenate([quiet, loud]) + np.float32(0.3))

    middle = slice(2 * SAMPLE_RATE, 14 * SAMPLE_RATE)
    assert loudness(both[: 20 * SAMPLE_RATE][middle]) == pytest.approx(0.1, rel=0.2)
    assert loudness(both[26 * SAMPLE_RATE :]) == pytest.approx(0.1, rel=0.2)
    assert np.abs(both).max() <= 1


@pytest.mark.parametrize("size", [1, 1599, 1600, 1601])
def test_levelling_keeps_the_length_and_leaves_silence_silent(size: int) -> None:
    assert levelled(np.zeros(size, dtype=np.float32)).tolist() == [0.0] * size
    assert levelled(np.full(size, 0.5, dtype=np.float32)).size == size


def test_speech_is_found_however_quiet_it_is(speech) -> None:
    plain, quiet = (voice_in(levelled(speech * np.float32(gain))) for gain in (1.0, 0.005))

    assert (quiet > 0.3).mean() == pytest.approx((plain > 0.3).mean(), abs=0.05)
    assert cut_where_nobody_speaks(np.zeros(SAMPLE_RATE, dtype=np.float32)) == SAMPLE_RATE
