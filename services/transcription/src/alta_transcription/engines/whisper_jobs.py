"""What runs in a worker process: one recording, read and transcribed chunk by chunk."""

import functools
import math
import time
from dataclasses import dataclass
from pathlib import Path

from alta_common.contracts.results import Segment, SpokenWord
from alta_common.workers.child import Reporter
from alta_common.workers.wire import Task
from alta_transcription.engines.audio import SAMPLE_RATE, Recording, no_audio, open_recording
from alta_transcription.engines.chunks import Chunk, cut_into_chunks
from alta_transcription.engines.confidence import is_doubtful, is_invented
from alta_transcription.engines.whisper_config import WhisperConfig
from alta_transcription.engines.whisper_model import HeardSegment, HeardWord, Listener


@dataclass(frozen=True)
class Heard:
    """Progress: the seconds done, of how many, and what was found since the last report."""

    done_seconds: float
    total_seconds: float
    segments: list[Segment]


@dataclass(frozen=True)
class Summary:
    """What is known of a recording at its end."""

    duration_ms: int
    language: str | None
    other_language: bool
    damaged: bool
    cpu_seconds: float


def warm_up_task(config: WhisperConfig) -> Task:
    """Return the task that makes a worker ready."""
    return Task(f"{__name__}:warm_up", {"config": config})


def transcribe_task(config: WhisperConfig, path: Path, language: str | None, max_seconds: float) -> Task:
    """Return the task that transcribes the recording in `path`: it reports `Heard` and returns a `Summary`."""
    arguments = {"config": config, "path": path, "language": language, "max_seconds": max_seconds}
    return Task(f"{__name__}:transcribe", arguments)


@functools.lru_cache(maxsize=1)
def _listener(config: WhisperConfig) -> Listener:
    return Listener(config)


def warm_up(_report: Reporter, config: WhisperConfig) -> None:
    """Load the model and use it once."""
    _listener(config).warm_up()


def transcribe(
    report: Reporter, config: WhisperConfig, path: Path, language: str | None, max_seconds: float
) -> Summary:
    """Transcribe a recording. Raises `InputError`."""
    began = time.process_time()
    job = _Job(report, _listener(config), language)
    with open_recording(path) as recording:
        job.total_seconds = _length_of(recording, max_seconds, report)
    # A second opening, because what was decoded to find the length cannot be decoded again.
    with open_recording(path) as recording:
        for chunk in cut_into_chunks(recording.blocks(max_seconds), job.listener.speech):
            job.hear(chunk)
        return job.summary(damaged=recording.damaged, cpu_seconds=time.process_time() - began)


def _length_of(recording: Recording, max_seconds: float, report: Reporter) -> float:
    """Return the recording's length. One that is too long is refused here, before any work is put into it.

    Where a file does not say how long it is (a browser's WebM), or says that it is too long (it may lie), all of it is
    decoded once, at about 2,000 times the speed of sound.
    """
    claimed = recording.claimed_seconds
    if claimed is not None and claimed <= max_seconds:
        return claimed
    samples = reported = 0
    for block in recording.blocks(max_seconds):
        samples += block.size
        if samples - reported > 600 * SAMPLE_RATE:
            reported = samples
            report(Heard(0.0, samples / SAMPLE_RATE, []))
    return samples / SAMPLE_RATE


class _Job:
    def __init__(self, report: Reporter, listener: Listener, language: str | None) -> None:
        self._report = report
        self.listener = listener
        self._asked = language.split("-")[0].lower() if language else None
        self._known = self._asked in listener.languages
        # A model with one language needs not be told, one with many finds out in the first chunk with speech.
        self._language = self._asked if self._known else None
        self.total_seconds = 0.0
        self._end = 0
        self._last_ms = 0

    def hear(self, chunk: Chunk) -> None:
        """Transcribe a chunk, reporting each segment as it is found."""
        self._end = chunk.start + chunk.samples.size
        self._tell(chunk.start_seconds, [])
        if not chunk.is_silent:
            language, heard = self.listener.transcribe(chunk.samples, self._language)
            for segment in heard:
                self._language = language
                canonical = self._canonical(segment, chunk)
                self._tell(chunk.start_seconds + segment.end, [canonical] if canonical else [])
        self._tell(self._end / SAMPLE_RATE, [])
        self._report.count(math.ceil(chunk.samples.size / SAMPLE_RATE))

    def summary(self, *, damaged: bool, cpu_seconds: float) -> Summary:
        """Return what is known at the end."""
        if self._end == 0:
            raise no_audio()
        return Summary(
            duration_ms=round(self._end * 1000 / SAMPLE_RATE),
            language=self._language or (self.listener.languages[0] if len(self.listener.languages) == 1 else None),
            other_language=self._asked is not None and not self._known,
            damaged=damaged,
            cpu_seconds=cpu_seconds,
        )

    def _tell(self, done_seconds: float, segments: list[Segment]) -> None:
        self._report(Heard(done_seconds, max(self.total_seconds, self._end / SAMPLE_RATE), segments))

    def _canonical(self, heard: HeardSegment, chunk: Chunk) -> Segment | None:
        if not heard.text or is_invented(heard.no_speech_probability, heard.log_probability):
            return None
        start_ms = self._moment(heard.start, chunk)
        words = [self._word(word, chunk) for word in heard.words]
        end_ms = max(self._moment(heard.end, chunk), start_ms, *(word.end_ms for word in words))
        if words:
            start_ms = min(start_ms, words[0].start_ms)
        self._last_ms = max(self._last_ms, end_ms)
        probabilities = [word.probability for word in heard.words]
        return Segment(
            start_ms=start_ms,
            end_ms=end_ms,
            text=heard.text,
            confidence=round(min(1.0, math.exp(heard.log_probability)), 4),
            low_confidence=is_doubtful(heard.log_probability, heard.temperature, heard.compression, probabilities),
            words=words,
        )

    def _word(self, word: HeardWord, chunk: Chunk) -> SpokenWord:
        start_ms = self._moment(word.start, chunk)
        end_ms = max(start_ms, self._moment(word.end, chunk))
        self._last_ms = end_ms
        return SpokenWord(start_ms=start_ms, end_ms=end_ms, text=word.text, confidence=round(word.probability, 4))

    def _moment(self, seconds: float, chunk: Chunk) -> int:
        """Return a time in the recording. Times only grow, and none lies behind the end, whatever the model says."""
        moment = round((chunk.start / SAMPLE_RATE + seconds) * 1000)
        return max(self._last_ms, min(moment, round(self._end * 1000 / SAMPLE_RATE)))
