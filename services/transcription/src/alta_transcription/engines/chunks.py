"""Cutting a stream of sound into chunks of bounded length, where nobody speaks."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from alta_transcription.engines.audio import SAMPLE_RATE, Samples

Cut = Callable[[Samples], int]
"""Returns the sample at which some sound is best cut."""

CHUNK_SECONDS = 120
"""A chunk takes about 100 MB while it is transcribed, however long the recording is; at its end work can be kept."""

SEARCH_SECONDS = 30
"""How far from its end a full chunk may be cut."""

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
    def end(self) -> int:
        """Return the sample after its last."""
        return self.start + self.samples.size

    @property
    def is_silent(self) -> bool:
        """Say whether it stays below -80 dB of full scale: nothing that a model could find anything in."""
        return is_silent(self.samples)


def cut_into_chunks(
    blocks: Iterable[Samples],
    best_cut: Cut,
    *,
    begin: int = 0,
    chunk_samples: int = CHUNK_SECONDS * SAMPLE_RATE,
    search_samples: int = SEARCH_SECONDS * SAMPLE_RATE,
) -> Iterator[Chunk]:
    """Yield `blocks` from the sample `begin` on as chunks of at most `chunk_samples`, cut by `best_cut` near their end.

    A chunk's samples are overwritten when the next one is asked for.
    """
    buffer = np.empty(chunk_samples, dtype=np.float32)
    filled, start = 0, begin
    for block in _skipping(blocks, begin):
        rest = block
        while rest.size:
            taken = min(rest.size, chunk_samples - filled)
            buffer[filled : filled + taken] = rest[:taken]
            filled, rest = filled + taken, rest[taken:]
            if filled < chunk_samples:
                continue
            cut = chunk_samples - search_samples + _cut_in(buffer[-search_samples:], best_cut)
            yield Chunk(start, buffer[:cut])
            left = chunk_samples - cut
            buffer[:left] = buffer[cut:].copy()
            filled, start = left, start + cut
    if filled:
        yield Chunk(start, buffer[:filled])


def is_silent(samples: Samples) -> bool:
    """Say whether sound stays below -80 dB of full scale."""
    return samples.size == 0 or max(float(samples.max()), -float(samples.min())) < _SILENCE


def _cut_in(samples: Samples, best_cut: Cut) -> int:
    return samples.size if is_silent(samples) else best_cut(samples)


def _skipping(blocks: Iterable[Samples], count: int) -> Iterator[Samples]:
    for block in blocks:
        if count < block.size:
            yield block[count:]
        count -= min(count, block.size)
