from fractions import Fraction

import av
import numpy as np
import pytest

from alta_transcription.engines.timeline import Timeline


def length(starts: list[float], seconds: float = 0.1) -> float:
    """How long the sound becomes of which each frame, so many seconds long, says when it starts."""
    timeline = Timeline(starts[0], max_seconds=3600)
    frame = av.AudioFrame.from_ndarray(np.zeros((1, round(seconds * 1000)), np.float32), format="flt", layout="mono")
    frame.sample_rate, frame.time_base = 1000, Fraction(1, 1000)
    total = 0.0
    for start in starts:
        frame.pts = round(start * 1000)
        total += timeline.gap_before(frame) + seconds
    return total


def test_time_that_swings_does_not_grow() -> None:
    swinging = [0.1 * n + (0.25 if n % 20 < 10 else -0.25) for n in range(600)]

    assert length(swinging) == pytest.approx(60, abs=0.6)


def test_each_gap_is_filled_however_many_there_are() -> None:
    halting = [0.1 * n + 0.5 * (n // 100) for n in range(600)]

    assert length(halting) == pytest.approx(62.5, abs=0.2)


def test_time_that_begins_again_has_gaps_of_its_own() -> None:
    once = [0.1 * n for n in range(50)]
    with_a_gap = [0.1 * n + (3 if n > 20 else 0) for n in range(50)]

    assert length(once + with_a_gap) == pytest.approx(13, abs=0.2)
