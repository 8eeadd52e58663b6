"""When the sound of a file is heard, by its own timestamps."""

import av

_TOLERANCE_SECONDS = 0.15
"""Containers round their timestamps (AVI to whole frames, WebM to milliseconds); a gap that counts is longer."""

_BEGINS_AGAIN_SECONDS = 2.0
"""Time that goes back by less swings about the truth: the gap that was filled before it went back is not made twice."""


class Timeline:
    """Compares how much sound was decoded with the time that the file gives it.

    `start` is the time at which the file begins. A gap that leads behind `max_seconds` is none: the timestamps are
    broken, as they are where they go back.
    """

    def __init__(self, start: float, max_seconds: float) -> None:
        self._offset = start
        self._max_seconds = max_seconds
        self._position = 0.0

    def gap_before(self, frame: av.AudioFrame) -> float:
        """Return how many seconds of silence belong before `frame`; call it once for each, in their order."""
        gap = 0.0
        if frame.time is not None:
            ahead = frame.time - self._offset - self._position
            if _TOLERANCE_SECONDS < ahead <= self._max_seconds - self._position:
                gap = ahead
            elif ahead > _TOLERANCE_SECONDS or ahead < -_BEGINS_AGAIN_SECONDS:
                # From here on the file's time is another one.
                self._offset += ahead
        self._position += gap + frame.samples / frame.sample_rate
        return gap
