"""Cutting a stream of sound into chunks of bounded length, where nobody speaks."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from alta_transcription.engines.audio import SAMPLE_RATE, Samples

Speech = Callable[[Samples], list[tuple[int, int]]]
"""Returns where somebody speaks, as (first sample, sample after the last)."""

CHUNK_SECONDS = 300
"""A chunk takes about 300 MB while it is transcribed, however long the recording is."""

SEARCH_SECONDS = 60
"""How far from its end a full chunk may be cut."""

_WINDOW = SAMPLE_RATE // 10
_SILENCE = 1e-4  # 80 dB below full scale


@dataclass(frozen=True)
class Chunk:
    """A part of a recording that begins at the sample `start`."""

    start: int
    samples: Samples

    @property
    def start_seconds(self) -> float:
        """Return where in the recording it begins."""
        return self.start / SAMPLE_RATE

    @property
    def is_silent(self) -> bool:
        """Say whether it stays below -80 dB of full scale: nothing that a model could find anything in."""
        return _is_silent(self.samples)


def cut_into_chunks(
    blocks: Iterable[Samples],
    speech: Speech,
    *,
    chunk_samples: int = CHUNK_SECONDS * SAMPLE_RATE,
    search_samples: int = SEARCH_SECONDS * SAMPLE_RATE,
) -> Iterator[Chunk]:
    """Yield `blocks` as chunks of at most `chunk_samples`, cut in the longest silence near their end."""
    buffer = np.empty(chunk_samples, dtype=np.float32)
    filled = start = 0
    for block in blocks:
        rest = block
        while rest.size:
            taken = min(rest.size, chunk_samples - filled)
            buffer[filled : filled + taken] = rest[:taken]
            filled, rest = filled + taken, rest[taken:]
            if filled < chunk_samples:
                continue
            cut = chunk_samples - search_samples + quietest_point(buffer[-search_samples:], speech)
            yield Chunk(start, buffer[:cut].copy())
            left = chunk_samples - cut
            buffer[:left] = buffer[cut:].copy()
            filled, start = left, start + cut
    if filled:
        yield Chunk(start, buffer[:filled].copy())


def quietest_point(samples: Samples, speech: Speech) -> int:
    """Return the middle of the longest stretch without speech, or else the quietest tenth of a second."""
    if _is_silent(samples):
        return samples.size
    spoken = speech(samples)
    if not spoken:
        return samples.size
    edges = [0, *(edge for span in spoken for edge in span), samples.size]
    gaps = list(zip(edges[::2], edges[1::2], strict=True))
    first, last = max(gaps, key=lambda gap: gap[1] - gap[0])
    if last - first >= _WINDOW:
        return (first + last) // 2
    windows = samples[: samples.size // _WINDOW * _WINDOW].reshape(-1, _WINDOW)
    # Not in its first half, or chunks would become short where there is no silence at all.
    later = len(windows) // 2
    loudness = np.square(windows[later:]).mean(axis=1)
    return int((later + int(np.argmin(loudness))) * _WINDOW + _WINDOW // 2)


def _is_silent(samples: Samples) -> bool:
    return samples.size == 0 or max(float(samples.max()), -float(samples.min())) < _SILENCE
