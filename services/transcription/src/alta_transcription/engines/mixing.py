"""Making one channel of several."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]

Mix = Callable[[Sound], Sound]
"""Makes one channel of several (channel x sample), block by block of a stream."""

# How much of what came before counts, block by block of some hundredths of a second.
_MEMORY = 0.9
# What is left of two channels that say the same in opposite phase; two that have nothing in common leave 1.
_CANCELLED = 0.05


def mix_of(channel: int | None) -> Mix:
    """Return what makes that channel (from 0 on) of a stream's channels, or with None a mix of all of them."""
    return Mixer().mix if channel is None else partial(_one_of, channel)


def _one_of(number: int, channels: Sound) -> Sound:
    # A part of the recording may have fewer.
    if number >= len(channels):
        return np.zeros(channels.shape[1], dtype=np.float32)
    return np.ascontiguousarray(channels[number])


class Mixer:
    """Mixes the channels of a stream, block by block.

    Channels in opposite phase (a wire that is swapped, a balanced line in a stereo jack) are silence together: one of
    them is taken instead.
    """

    def __init__(self) -> None:
        self._left = 0.0
        self._apart = 0.0
        self._chosen: int | None = None

    def mix(self, channels: Sound) -> Sound:
        """Return the mean of `channels` (channel x sample), or one of them while they cancel each other out."""
        if len(channels) == 1:
            return np.ascontiguousarray(channels[0])
        mixed = np.asarray(channels.mean(axis=0))
        powers = np.square(channels).mean(axis=1)
        self._left = self._left * _MEMORY + float(np.square(mixed).mean())
        # The power of the mean of sounds that have nothing in common.
        self._apart = self._apart * _MEMORY + float(powers.sum()) / len(channels) ** 2
        if self._left >= _CANCELLED * self._apart:
            self._chosen = None
            return mixed
        # The same one for as long as it lasts: they are equally loud.
        if self._chosen is None or self._chosen >= len(channels):
            self._chosen = int(np.argmax(powers))
        return np.ascontiguousarray(channels[self._chosen])
