"""Decoding of recordings with PyAV: as a stream, 16 kHz mono, in memory that does not grow with the length.

FFmpeg gets a closed list of formats and protocols. Without it a playlist or session description can make it read other
files or listen on the network; and decoding a file whole can take gigabytes (10 hours of silence are a FLAC of 4 MB).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from alta_common.engines.port import InputError
from alta_transcription.engines.completeness import COUNTS_FROM_ZERO, is_incomplete
from alta_transcription.engines.media import DEMUXERS, require_recording
from alta_transcription.engines.mixing import Mix, mix_of
from alta_transcription.engines.timeline import Timeline

SAMPLE_RATE = 16_000

Samples = NDArray[np.float32]

_OPEN_SECONDS = 20.0
_MIN_RATE = 1_000
_MAX_RATE = 768_000
_STEREO, _SURROUND = 2, 8
_DAMAGED = "The recording is damaged or incomplete: it cannot be decoded."


@dataclass(frozen=True)
class Encoding:
    """How a recording is written. `container` and `codec` are FFmpeg's names, `rate` is in samples a second."""

    container: str
    codec: str
    rate: int
    channels: int
    streams: int


class Recording:
    """An opened recording.

    `damaged`, at the end of `blocks`: some of it could not be decoded, or its end is missing.
    """

    def __init__(self, path: Path, container: av.container.InputContainer, stream: av.AudioStream) -> None:
        self._path = path
        self._container = container
        self._stream = stream
        self.damaged = False

    @property
    def claimed_seconds(self) -> float | None:
        """Return the length that the file says it has; files lie, and some do not say."""
        if self._container.duration is None or self._container.duration <= 0:
            return None
        return float(self._container.duration) / av.time_base

    @property
    def encoding(self) -> Encoding:
        """Return how the file is written, by what its headers say."""
        context = self._stream.codec_context
        return Encoding(
            container=self._container.format.name,
            codec=context.codec.canonical_name,
            rate=context.sample_rate,
            channels=context.channels,
            streams=len(self._container.streams),
        )

    def blocks(self, max_seconds: float, channel: int | None = None) -> Iterator[Samples]:
        """Yield the sound as blocks of samples, -1 to 1, in the time of the file: its gaps are silence.

        That of one `channel` (from 0 on) by itself, or with None of all of them together. Raises `InputError`:
        `audio_too_long` once more than `max_seconds` were decoded, `corrupt_file` when nothing can be, `no_audio` when
        there is nothing to decode.
        """
        total = 0
        for block in self._resampled(Timeline(self._start, max_seconds), channel):
            total += block.size
            if total > max_seconds * SAMPLE_RATE:
                raise too_long(max_seconds)
            yield block
        if total == 0:
            raise InputError("corrupt_file", _DAMAGED) if self.damaged else no_audio()
        self.damaged = self.damaged or self._lacks_its_end(total / SAMPLE_RATE)

    def packet_ends(self, max_seconds: float) -> Iterator[float]:
        """Yield where each packet ends, in seconds, without decoding any.

        Raises `InputError`: `audio_too_long` when one ends after `max_seconds`.
        """
        end = 0.0
        for packet in self._packets():
            if packet.duration is None or packet.time_base is None:
                continue
            end += float(packet.duration * packet.time_base)
            if end > max_seconds:
                raise too_long(max_seconds)
            yield end

    @property
    def _start(self) -> float:
        """Return when the file begins, as its streams have it: sound may begin later than the picture."""
        return (self._container.start_time or 0) / av.time_base

    @property
    def _claimed_from_start(self) -> float | None:
        claimed, name = self.claimed_seconds, self._container.format.name
        return claimed - max(self._start, 0.0) if claimed and name == COUNTS_FROM_ZERO else claimed

    def _lacks_its_end(self, seconds: float) -> bool:
        others = [stream for stream in self._container.streams if stream is not self._stream and not _is_cover(stream)]
        name, duration, time_base = self._container.format.name, self._stream.duration, self._stream.time_base
        # Where a stream has a length of its own, that of the file may be the picture's. Matroska counts from 0 on, even
        # where the sound begins an hour later: a part of a longer recording.
        claimed = float(duration * time_base) if duration and time_base else self._claimed_from_start
        return is_incomplete(self._path, name, claimed, seconds, alone=not others)

    def _resampled(self, timeline: Timeline, channel: int | None) -> Iterator[Samples]:
        resampler, shape, mix = None, None, mix_of(channel)
        for frame in self._frames():
            # A file put together from several may change its rate or channels on the way; a resampler may not.
            if (frame.sample_rate, frame.format.name, frame.layout.name) != shape:
                yield from _samples(_converted(resampler, None) if resampler else [], mix)
                shape = (frame.sample_rate, frame.format.name, frame.layout.name)
                resampler = _resampler(frame, is_mixed=channel is None)
            assert resampler is not None
            yield from _silence(timeline.gap_before(frame))
            frame.pts = None
            yield from _samples(_converted(resampler, frame), mix)
        yield from _samples(_converted(resampler, None) if resampler else [], mix)

    def _frames(self) -> Iterator[av.AudioFrame]:
        for packet in self._packets():
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                # Players skip what they cannot decode, and so do we.
                self.damaged = True

    # Quoted: PyAV has its generic types in its stubs only.
    def _packets(self) -> "Iterator[av.Packet[av.AudioStream]]":
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                self.damaged = True
                return
            yield packet


@contextmanager
def open_recording(path: Path) -> Iterator[Recording]:
    """Open the recording in `path` inside the block.

    Raises `InputError`: `unsupported_media_type`, `corrupt_file`, `no_audio`.
    """
    require_recording(path)
    try:
        container = av.open(
            f"file:{path}",
            options={"format_whitelist": DEMUXERS, "protocol_whitelist": "file"},
            timeout=(_OPEN_SECONDS, None),
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, ValueError) as error:
        raise InputError("corrupt_file", _DAMAGED) from error
    with container:
        yield Recording(path, container, _audio_stream(container))


def no_audio() -> InputError:
    """Return the error of a file without sound."""
    return InputError("no_audio", "There is no sound in this file.")


def too_long(max_seconds: float) -> InputError:
    """Return the error of a recording that is longer than allowed."""
    hours = max_seconds / 3600
    limit = f"{hours:g} hours" if hours >= 1 else f"{max_seconds:g} seconds"
    return InputError("audio_too_long", f"The recording is longer than the {limit} that are allowed.")


def _audio_stream(container: av.container.InputContainer) -> av.AudioStream:
    best = container.streams.best("audio")
    if best is None:
        # There is a stream, but what it says of itself (65,535 channels, say) cannot be.
        raise InputError("corrupt_file", _DAMAGED) if container.streams.audio else no_audio()
    # Of several, languages say, the one that the file or FFmpeg prefers; another one where we cannot decode that.
    for stream in (best, *container.streams.audio):
        if isinstance(stream, av.AudioStream) and stream.codec_context is not None:
            return stream
    raise InputError("unsupported_media_type", "The sound in this file is encoded in a way that we cannot read.")


def _is_cover(stream: av.stream.Stream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _resampler(frame: av.AudioFrame, *, is_mixed: bool) -> av.AudioResampler:
    # One second at a rate of 1 Hz would become 16,000 samples: a small file, gigabytes of sound.
    if not _MIN_RATE <= frame.sample_rate <= _MAX_RATE:
        detail = f"The recording says that it has {frame.sample_rate} samples a second, which cannot be."
        raise InputError("corrupt_file", detail)
    # FFmpeg knows which of a film's channels stand in front; of more than eight it knows nothing, and two we mix.
    is_film = _STEREO < frame.layout.nb_channels <= _SURROUND
    layout = "mono" if is_film and is_mixed else frame.layout.name
    return av.AudioResampler(format="flt", layout=layout, rate=SAMPLE_RATE)


def _converted(resampler: av.AudioResampler, frame: av.AudioFrame | None) -> list[av.AudioFrame]:
    try:
        return resampler.resample(frame)
    except av.error.ArgumentError as error:
        channels = f"{frame.layout.nb_channels} channels" if frame else "such channels"
        detail = f"We cannot read a recording of {channels}."
        raise InputError("unsupported_media_type", detail) from error


def _silence(seconds: float) -> Iterator[Samples]:
    left = round(seconds * SAMPLE_RATE)
    while left > 0:
        size = min(left, 10 * SAMPLE_RATE)
        left -= size
        yield np.zeros(size, dtype=np.float32)


def _samples(frames: list[av.AudioFrame], mix: Mix) -> Iterator[Samples]:
    for frame in frames:
        samples = frame.to_ndarray().reshape(-1).astype(np.float32, copy=False)
        # Recordings in floating point may hold anything, infinities and not-a-number included.
        if samples.size and not (samples.min() >= -1.0 and samples.max() <= 1.0):
            samples = np.clip(np.nan_to_num(samples), -1.0, 1.0)
        count = frame.layout.nb_channels
        yield mix(samples.reshape(-1, count).T)
