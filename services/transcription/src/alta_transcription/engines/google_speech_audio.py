"""What runs in a worker process before Google hears a recording: it is decoded once, to its end.

That tells its true length, which decides how Google is asked and is what Google bills; whether there is any sound in
it; and leaves a FLAC of 16 kHz, mono or with the channels that are heard by themselves, for all that Google does not
take as it is.
"""

import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from alta_common.workers.child import Reporter
from alta_common.workers.wire import Task
from alta_transcription.engines.audio import SAMPLE_RATE, Encoding, Samples, open_recording

# "Auto-decoding" in the API's reference (AutoDetectDecodingConfig), by FFmpeg's names.
_TAKEN = {
    "wav": {"pcm_s16le", "pcm_mulaw", "pcm_alaw"},
    "flac": {"flac"},
    "mp3": {"mp3"},
    "ogg": {"opus"},
    "matroska,webm": {"opus"},
    "mov,mp4,m4a,3gp,3g2,mj2": {"aac"},
    "amr": {"amr_nb", "amr_wb"},
}
# FFmpeg has one reader for each of these families, Google takes only some members of them.
_FAMILY_MARKS = {"matroska,webm": b"webm", "mov,mp4,m4a,3gp,3g2,mj2": b"ftyp"}
_NOT_TAKEN_BRANDS = (b"3gp", b"3g2")
_HEAD_BYTES = 64
_MIN_RATE, _MAX_RATE = 8_000, 48_000
_SILENCE = 1e-4  # 80 dB below full scale
# How many channels Google transcribes each by itself; and FFmpeg's names of what a FLAC with so many has.
_SEPARABLE = range(2, 9)
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_REPORT_SAMPLES = 300 * SAMPLE_RATE


@dataclass(frozen=True)
class PreparedAudio:
    """A recording that was listened through. `taken_as_it_is`: Google decodes the original; else it is given `flac`.

    `is_separate`: the FLAC has several channels, and each is to be heard by itself.
    """

    flac: Path
    duration_ms: int
    taken_as_it_is: bool
    silent: bool
    damaged: bool
    is_separate: bool


def prepare_task(path: Path, flac: Path, max_seconds: float, *, separate: bool) -> Task:
    """Return the task that decodes `path` into `flac`: it reports seconds and returns a `PreparedAudio`."""
    arguments = {"path": path, "flac": flac, "max_seconds": max_seconds, "separate": separate}
    return Task(f"{__name__}:prepare", arguments)


def prepare(report: Reporter, path: Path, flac: Path, max_seconds: float, separate: bool) -> PreparedAudio:
    """Decode a recording, with `separate` its channels beside each other where Google hears so many.

    Raises `InputError`, `audio_too_long` as soon as more than `max_seconds` were heard.
    """
    meter = _Meter(report)
    with ExitStack() as opened:
        recording = opened.enter_context(open_recording(path))
        count = recording.encoding.channels if separate and recording.encoding.channels in _SEPARABLE else 1
        if count == 1:
            blocks = (block.reshape(1, -1) for block in recording.blocks(max_seconds))
        else:
            # Each gives one channel, of all that it decodes.
            recordings = [recording, *(opened.enter_context(open_recording(path)) for _ in range(count - 1))]
            tracks = [track.blocks(max_seconds, channel) for channel, track in enumerate(recordings)]
            blocks = (np.stack(together) for together in zip(*tracks, strict=True))
        with _flac_writer(flac, count) as write:
            for block in meter.watched(blocks):
                write(block)
        return PreparedAudio(
            flac=flac,
            duration_ms=round(meter.samples * 1000 / SAMPLE_RATE),
            taken_as_it_is=count == 1 and not recording.damaged and _is_taken(recording.encoding, path),
            silent=meter.peak < _SILENCE,
            damaged=recording.damaged,
            is_separate=count > 1,
        )


def is_decoded(encoding: Encoding) -> bool:
    """Say whether Google decodes what is written like this, and hears all of it."""
    # Of several channels Google hears the first only, unless asked to transcribe, and be paid for, each by itself.
    alone = encoding.channels == 1 and encoding.streams == 1
    known = encoding.codec in _TAKEN.get(encoding.container, ())
    return alone and known and _MIN_RATE <= encoding.rate <= _MAX_RATE


def _is_taken(encoding: Encoding, path: Path) -> bool:
    if not is_decoded(encoding):
        return False
    return _is_whole_wav(path) if encoding.container == "wav" else _is_family_member(encoding.container, path)


def _is_whole_wav(path: Path) -> bool:
    """Say whether a WAV's header tells the length of what is in it.

    Who records into a pipe leaves 0 or 2**32 - 1 there, which FFmpeg reads as "to the end", and others as they like.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        _, riff_bytes, _ = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        while len(head := file.read(8)) == 8:  # noqa: PLR2004 - a name of four letters, and a length
            name, chunk_bytes = struct.unpack("<4sI", head)
            if name == b"data":
                return bool(0 < riff_bytes <= size - 8 and 0 < chunk_bytes <= size - file.tell())
            # Chunks begin at even places.
            file.seek(chunk_bytes + chunk_bytes % 2, 1)
    return False


def _is_family_member(container: str, path: Path) -> bool:
    mark = _FAMILY_MARKS.get(container)
    if mark is None:
        return True
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return mark in head and not any(head[8:].startswith(brand) for brand in _NOT_TAKEN_BRANDS)


class _Meter:
    """Measures the sound that passes by."""

    def __init__(self, report: Reporter) -> None:
        self.samples = 0
        self.peak = 0.0
        self._report = report
        self._reported = 0

    def watched(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        for block in blocks:
            if block.size:
                self.samples += block.shape[1]
                self.peak = max(self.peak, float(np.abs(block).max()))
                yield block
            if self.samples - self._reported >= _REPORT_SAMPLES:
                self._report.count((self.samples - self._reported) // SAMPLE_RATE)
                self._reported = self.samples
                self._report(self.samples / SAMPLE_RATE)


class _FlacWriter:
    def __init__(self, output: av.container.OutputContainer, channels: int) -> None:
        self._output = output
        self._layout = _LAYOUTS[channels]
        self._stream = output.add_stream("flac", rate=SAMPLE_RATE, layout=self._layout)
        self._written = 0

    def __call__(self, block: Samples) -> None:
        # Sample by sample, all channels of each.
        samples = (block.T * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=self._layout)
        frame.sample_rate = SAMPLE_RATE
        frame.pts = self._written
        self._written += block.shape[1]
        self._output.mux(self._stream.encode(frame))

    def finish(self) -> None:
        self._output.mux(self._stream.encode(None))


@contextmanager
def _flac_writer(path: Path, channels: int) -> Iterator[_FlacWriter]:
    with av.open(str(path), "w", format="flac") as output:
        writer = _FlacWriter(output, channels)
        yield writer
        writer.finish()
