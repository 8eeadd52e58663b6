"""What a model heard, before we decide what to believe of it. Times are in seconds from the start of a chunk."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HeardWord:
    """A word as the model gave it."""

    start: float
    end: float
    text: str
    probability: float


@dataclass(frozen=True)
class HeardSegment:
    """A segment as the model gave it, with what tells whether to believe it.

    `voice` is the greatest probability that the voice detector, which knows no words, gave its time.
    """

    start: float
    end: float
    text: str
    log_probability: float
    no_speech_probability: float
    compression: float
    temperature: float
    voice: float
    words: list[HeardWord]


@dataclass(frozen=True)
class HeardWindow:
    """What was heard up to `end`, in which language."""

    end: float
    language: str | None
    segments: list[HeardSegment]
