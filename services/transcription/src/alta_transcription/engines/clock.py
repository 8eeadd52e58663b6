"""From a model's times, in seconds of a chunk, to those of the recording: they only grow, and end with it."""

import math

from alta_common.contracts.results import Segment, SpokenWord
from alta_transcription.engines.audio import SAMPLE_RATE
from alta_transcription.engines.confidence import is_doubtful
from alta_transcription.engines.heard import HeardSegment, HeardWord


class Clock:
    """Gives what was heard its place in a recording, of which everything up to `last_ms` has its place."""

    def __init__(self, last_ms: int = 0) -> None:
        self.last_ms = last_ms

    def place(self, heard: HeardSegment, chunk_seconds: float, chunk_end: int) -> Segment:
        """Return a segment of the chunk that begins at `chunk_seconds` and ends before the sample `chunk_end`."""
        latest_ms = round(chunk_end * 1000 / SAMPLE_RATE)
        words = [self._word(word, chunk_seconds, latest_ms) for word in heard.words]
        if words:
            start_ms, end_ms = words[0].start_ms, words[-1].end_ms
        else:
            start_ms = self._moment(heard.start, chunk_seconds, latest_ms)
            end_ms = max(start_ms, self._moment(heard.end, chunk_seconds, latest_ms))
        self.last_ms = end_ms
        return Segment(
            start_ms=start_ms,
            end_ms=end_ms,
            text=heard.text,
            confidence=round(min(1.0, math.exp(heard.log_probability)), 4),
            low_confidence=is_doubtful(heard),
            words=words,
        )

    def _word(self, word: HeardWord, chunk_seconds: float, latest_ms: int) -> SpokenWord:
        start_ms = self._moment(word.start, chunk_seconds, latest_ms)
        end_ms = max(start_ms, self._moment(word.end, chunk_seconds, latest_ms))
        self.last_ms = end_ms
        return SpokenWord(start_ms=start_ms, end_ms=end_ms, text=word.text, confidence=round(word.probability, 4))

    def _moment(self, seconds: float, chunk_seconds: float, latest_ms: int) -> int:
        moment = round((chunk_seconds + seconds) * 1000)
        return max(self.last_ms, min(moment, latest_ms))
