"""Where somebody speaks: what Silero's detector makes of each 32 ms, and the stretches that follow from it."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alta_transcription.engines.audio import SAMPLE_RATE, Samples
from alta_transcription.engines.levels import levelled

FRAME = 512
FRAMES_A_SECOND = SAMPLE_RATE / FRAME

Voice = NDArray[np.float32]
"""The probability of a voice in each frame of 512 samples."""

# On the telephone a voice is likelier than 0.5 in 61 % of its frames only, than 0.3 in 83 %; noise of every kind that
# we tried stays below 0.2, music below 0.3.
_BEGINS = 0.3
_GOES_ON = 0.15
FAINT = 0.2
"""Below this nobody speaks, as far as the detector can tell."""
_SURE = 0.5

_LEAST_FRAMES = 3
# The detector misses what is said softly between two loud phrases. Pauses are shorter than this.
_LONGEST_PAUSE = round(2.0 * FRAMES_A_SECOND)
_MARGIN = round(0.5 * FRAMES_A_SECOND)
_SHORTEST_PAUSE = round(0.25 * FRAMES_A_SECOND)


def voice_in(samples: Samples) -> Voice:
    """Return how probably somebody speaks in each frame of `samples` (levelled)."""
    padded = np.pad(samples, (0, -samples.size % FRAME))
    if not padded.size:
        return np.zeros(0, dtype=np.float32)
    return np.asarray(detector()(padded), dtype=np.float32).reshape(-1)


def voiced_seconds(voice: Voice) -> float:
    """Return how long somebody speaks, as far as the detector is sure of it."""
    return float(np.count_nonzero(voice >= _SURE) / FRAMES_A_SECOND)


def stretches(voice: Voice) -> list[tuple[int, int]]:
    """Return where somebody speaks, pauses below 2 s and half a second around it included, as (first frame, end)."""
    found: list[tuple[int, int]] = []
    for first, end in _runs(voice >= _GOES_ON):
        if np.count_nonzero(voice[first:end] >= _BEGINS) == 0:
            continue
        if found and first - found[-1][1] <= _LONGEST_PAUSE:
            found[-1] = (found[-1][0], end)
        else:
            found.append((first, end))
    spoken = [(first, end) for first, end in found if np.count_nonzero(voice[first:end] >= _BEGINS) >= _LEAST_FRAMES]
    return [(max(0, first - _MARGIN), min(voice.size, end + _MARGIN)) for first, end in spoken]


def best_cut(voice: Voice) -> int:
    """Return the frame to cut at: in the middle of the longest pause, else where a voice is least probable."""
    pauses = _runs(voice < FAINT)
    if pauses:
        first, end = max(pauses, key=lambda pause: pause[1] - pause[0])
        if end - first >= _SHORTEST_PAUSE:
            return (first + end) // 2
    around = np.convolve(voice, np.ones(_SHORTEST_PAUSE) / _SHORTEST_PAUSE, "same")
    # Not at its very edges, where there is less around.
    margin = min(_SHORTEST_PAUSE, voice.size // 2)
    return margin + int(np.argmin(around[margin : voice.size - margin] if voice.size > 2 * margin else around))


def cut_where_nobody_speaks(samples: Samples) -> int:
    """Return the sample of `samples` (as decoded) at which they are best cut."""
    voice = voice_in(levelled(samples))
    if not stretches(voice):
        return samples.size
    return min(samples.size, best_cut(voice) * FRAME)


@lru_cache(maxsize=1)
def detector() -> Any:
    """Return the detector, loaded."""
    from faster_whisper.vad import get_vad_model

    return get_vad_model()


def _runs(holds: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(holds.astype(np.int8), prepend=0, append=0))
    return [(int(first), int(end)) for first, end in zip(edges[::2], edges[1::2], strict=True)]
