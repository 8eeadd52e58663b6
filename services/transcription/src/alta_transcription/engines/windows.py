"""What a Whisper model is given at a time: up to 28 s of speech, cut at pauses, long silences left out.

Whisper decodes windows of 30 s. Left to itself it cuts wherever the 30 s end, in the middle of words, and goes on from
its own idea of where the last word ended: what it then hears twice or not at all is the usual fault of long recordings.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from alta_transcription.engines.audio import SAMPLE_RATE, Samples
from alta_transcription.engines.voice import FRAME, FRAMES_A_SECOND, Voice, best_cut, stretches

_LONGEST = int(28 * FRAMES_A_SECOND)
_SHORTEST = int(12 * FRAMES_A_SECOND)


@dataclass(frozen=True)
class Window:
    """Stretches of a chunk, as (first sample, end), that are listened to as one."""

    stretches: tuple[tuple[int, int], ...]

    @property
    def seconds(self) -> float:
        """Return how long it is."""
        return sum(end - first for first, end in self.stretches) / SAMPLE_RATE

    @property
    def end_seconds(self) -> float:
        """Return where in the chunk it ends."""
        return self.stretches[-1][1] / SAMPLE_RATE

    def samples(self, chunk: Samples) -> Samples:
        """Return its sound."""
        return np.concatenate([chunk[first:end] for first, end in self.stretches])

    def moment(self, seconds: float) -> float:
        """Return where in the chunk something is that was heard so many seconds into the window."""
        rest = seconds * SAMPLE_RATE
        for first, end in self.stretches:
            if rest <= end - first:
                return (first + rest) / SAMPLE_RATE
            rest -= end - first
        return self.end_seconds


def windows_of(voice: Voice, size: int) -> list[Window]:
    """Return the windows of a chunk of `size` samples with that `voice`; nothing where nobody speaks."""
    windows: list[list[tuple[int, int]]] = []
    room = 0
    for first, end in _pieces(voice):
        if end - first > room:
            windows.append([])
            room = _LONGEST
        windows[-1].append((first * FRAME, min(size, end * FRAME)))
        room -= end - first
    return [Window(tuple(stretches)) for stretches in windows]


def _pieces(voice: Voice) -> Iterator[tuple[int, int]]:
    for begin, end in stretches(voice):
        first = begin
        while end - first > _LONGEST:
            cut = first + _SHORTEST + best_cut(voice[first + _SHORTEST : first + _LONGEST])
            yield first, cut
            first = cut
        yield first, end
