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

    `voice` is the greatest probability that the voice detector, which knows no words, gave its time; `voiced_seconds`
    is for how long it was sure. `is_rest`: the model was given, by itself, what was left at the end of a window.
    """

    start: float
    end: float
    text: str
    log_probability: float
    no_speech_probability: float
    compression: float
    temperature: float
    voice: float
    voiced_seconds: float
    is_rest: bool
    words: list[HeardWord]


@dataclass(frozen=True)
class HeardWindow:
    """What was heard up to `end`, in which language; `voiced_seconds` is for how long somebody spoke."""

    end: float
    language: str | None
    voiced_seconds: float
    segments: list[HeardSegment]
