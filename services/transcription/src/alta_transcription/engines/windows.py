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

    def place(self, start: float, end: float) -> tuple[int, float, float]:
        """Return where in the chunk it is that was heard from `start` to `end` seconds into the window.

        The answer is (number of the stretch, from, to). What was heard at a joint lies in the stretch that holds its
        middle, and ends where that ends: nobody says a word on both sides of a silence, but a model gives the silence
        around a word to the word.
        """
        number, offset = self._stretch_at((start + end) / 2 * SAMPLE_RATE)
        first, last = self.stretches[number]
        begin, finish = (min(max(first + second * SAMPLE_RATE - offset, first), last) for second in (start, end))
        return number, begin / SAMPLE_RATE, finish / SAMPLE_RATE

    def _stretch_at(self, sample: float) -> tuple[int, int]:
        """Return which stretch is heard at a sample of the window, and at which sample of the window it begins."""
        offset = 0
        for number, (first, end) in enumerate(self.stretches[:-1]):
            if sample < offset + end - first:
                return number, offset
            offset += end - first
        return len(self.stretches) - 1, offset


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
