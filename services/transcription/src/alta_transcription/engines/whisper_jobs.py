"""What runs in a worker process: one recording, read and transcribed chunk by chunk."""

import functools
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from alta_common.contracts.results import Segment
from alta_common.workers.child import Reporter
from alta_common.workers.wire import Task
from alta_transcription.engines.audio import SAMPLE_RATE, Recording, Samples, no_audio, open_recording
from alta_transcription.engines.chunks import Chunk, cut_into_chunks
from alta_transcription.engines.clock import Clock
from alta_transcription.engines.confidence import is_invented
from alta_transcription.engines.memory import be_frugal, return_freed_memory
from alta_transcription.engines.voice import cut_where_nobody_speaks
from alta_transcription.engines.whisper_config import WhisperConfig
from alta_transcription.engines.whisper_model import Listener

_SIGN_OF_LIFE = 600 * SAMPLE_RATE


@dataclass(frozen=True)
class Seam:
    """A place between two chunks from which the work can go on: everything before `sample` is transcribed.

    `voiced_seconds` is for how long somebody has spoken before it.
    """

    sample: int = 0
    last_ms: int = 0
    language: str | None = None
    voiced_seconds: float = 0.0


@dataclass(frozen=True)
class Heard:
    """Progress: the seconds done, of how many, and what was found since the last report.

    `channels` is how many have to be listened to, one of which this is.
    """

    done_seconds: float
    total_seconds: float
    segments: list[Segment]
    seam: Seam | None = None
    channels: int = 1


@dataclass(frozen=True)
class Summary:
    """What is known of a recording at its end, or of the one of its `channels` that was listened to by itself."""

    channels: int
    duration_ms: int
    language: str | None
    other_language: bool
    damaged: bool
    voiced_seconds: float
    cpu_seconds: float


def warm_up_task(config: WhisperConfig) -> Task:
    """Return the task that makes a worker ready."""
    return Task(f"{__name__}:warm_up", {"config": config})


def transcribe_task(
    config: WhisperConfig,
    path: Path,
    language: str | None,
    max_seconds: float,
    *,
    begin: Seam | None = None,
    channel: int | None = None,
) -> Task:
    """Return the task that transcribes the recording in `path` from `begin` on; with `channel`, that one by itself.

    It reports `Heard` and returns a `Summary`.
    """
    arguments = {"config": config, "path": path, "language": language, "max_seconds": max_seconds}
    return Task(f"{__name__}:transcribe", {**arguments, "begin": begin, "channel": channel})


@functools.lru_cache(maxsize=1)
def _listener(config: WhisperConfig) -> Listener:
    return Listener(config)


def warm_up(_report: Reporter, config: WhisperConfig) -> None:
    """Load the model and use it once."""
    be_frugal()
    _listener(config).warm_up()


def transcribe(
    report: Reporter,
    config: WhisperConfig,
    path: Path,
    language: str | None,
    max_seconds: float,
    *,
    begin: Seam | None = None,
    channel: int | None = None,
) -> Summary:
    """Transcribe a recording, or one channel of it (from 0 on), from `begin` on. Raises `InputError`."""
    began = time.process_time()
    begin = begin or Seam()
    job = _Job(report, _listener(config), language, begin)
    with open_recording(path) as recording:
        # FFmpeg says 0 where only decoding tells.
        job.channels = 1 if channel is None else max(1, recording.encoding.channels)
        for job.total_seconds in _lengths_of(recording, max_seconds):
            job.live()
    # A second opening, because what was decoded to find the length cannot be decoded again.
    with open_recording(path) as recording:
        blocks = job.signs_of_life(recording.blocks(max_seconds, channel))
        for chunk in cut_into_chunks(blocks, cut_where_nobody_speaks, begin=begin.sample):
            job.hear(chunk)
        return job.summary(damaged=recording.damaged, cpu_seconds=time.process_time() - began)


def _lengths_of(recording: Recording, max_seconds: float) -> Iterator[float]:
    """Yield how long the recording is at least, its length last. One that is too long is refused before any work.

    Where a file does not say how long it is (a browser's WebM), or says that it is too long (it may lie), all of its
    packets are read once, which takes a fraction of a second for each hour.
    """
    claimed = recording.claimed_seconds
    if claimed is not None and claimed <= max_seconds:
        yield claimed
        return
    seconds = told = 0.0
    for seconds in recording.packet_ends(max_seconds):
        if seconds - told > _SIGN_OF_LIFE / SAMPLE_RATE:
            told = seconds
            yield seconds
    yield seconds


class _Job:
    def __init__(self, report: Reporter, listener: Listener, language: str | None, begin: Seam) -> None:
        self._report = report
        self._listener = listener
        self._asked = language.split("-")[0].lower() if language else None
        self._known = self._asked in listener.languages
        # A model with one language needs not be told, one with many finds out in the first windows with speech.
        self._language = self._asked if self._known else begin.language
        self.total_seconds = 0.0
        self.channels = 1
        self._begin = begin
        self._end = begin.sample
        self._clock = Clock(begin.last_ms)
        self._voiced_seconds = begin.voiced_seconds

    def live(self) -> None:
        """Report that work goes on before anything is heard."""
        self._tell(self._begin.sample / SAMPLE_RATE, [])

    def signs_of_life(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """Yield `blocks`, reporting now and then while those are passed over that an earlier try has transcribed."""
        passed = reported = 0
        for block in blocks:
            passed += block.size
            if passed < self._begin.sample and passed - reported > _SIGN_OF_LIFE:
                reported = passed
                self._tell(self._begin.sample / SAMPLE_RATE, [])
            yield block

    def hear(self, chunk: Chunk) -> None:
        """Transcribe a chunk, reporting each window as it is done."""
        self._end = chunk.end
        self._tell(chunk.start_seconds, [])
        if not chunk.is_silent:
            for window in self._listener.listen(chunk.samples, self._language):
                self._language = window.language
                self._voiced_seconds += window.voiced_seconds
                believed = [segment for segment in window.segments if not is_invented(segment)]
                segments = [self._clock.place(segment, chunk.start_seconds, chunk.end) for segment in believed]
                self._tell(chunk.start_seconds + window.end, segments)
        seam = Seam(self._end, self._clock.last_ms, self._language, round(self._voiced_seconds, 3))
        self._tell(self._end / SAMPLE_RATE, [], seam)
        return_freed_memory()
        self._report.count(math.ceil(chunk.samples.size / SAMPLE_RATE))

    def summary(self, *, damaged: bool, cpu_seconds: float) -> Summary:
        """Return what is known at the end."""
        if self._end == 0:
            raise no_audio()
        only_one = self._listener.languages[0] if len(self._listener.languages) == 1 else None
        return Summary(
            channels=self.channels,
            duration_ms=round(self._end * 1000 / SAMPLE_RATE),
            language=self._language or only_one,
            other_language=self._asked is not None and not self._known,
            damaged=damaged,
            voiced_seconds=self._voiced_seconds,
            cpu_seconds=cpu_seconds,
        )

    def _tell(self, done_seconds: float, segments: list[Segment], seam: Seam | None = None) -> None:
        total_seconds = max(self.total_seconds, self._end / SAMPLE_RATE)
        self._report(Heard(done_seconds, total_seconds, segments, seam, self.channels))
