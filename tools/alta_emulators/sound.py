"""What Speech-to-Text makes of bytes: it knows some encodings, and hears the first of several channels, or each."""

import asyncio
import io
import wave
from dataclasses import dataclass

import av
import av.error
import grpc
import numpy as np
from numpy.typing import NDArray

from alta_emulators.faults import RefusedError

_RATE = 16_000
_MOST_CHANNELS = 8
_DEMUXERS = "wav,flac,mp3,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,amr"
_ENCODINGS = {
    ("wav", "pcm_s16le"),
    ("wav", "pcm_mulaw"),
    ("wav", "pcm_alaw"),
    ("amr", "amr_nb"),
    ("amr", "amr_wb"),
    ("flac", "flac"),
    ("mp3", "mp3"),
    ("ogg", "opus"),
    ("matroska,webm", "opus"),
    ("mov,mp4,m4a,3gp,3g2,mj2", "aac"),
}


@dataclass(frozen=True)
class Sound:
    """What is heard: a WAV of 16 kHz, 16 bit, one channel, for each channel that is listened to, and its length."""

    wavs: list[bytes]
    seconds: float


async def listen(content: bytes, *, each_channel: bool) -> Sound:
    """Return the sound of a file. Raises `RefusedError` for what Google does not decode."""
    return await asyncio.to_thread(_decode, content, each_channel)


def _decode(content: bytes, each_channel: bool) -> Sound:
    try:
        with av.open(io.BytesIO(content), options={"format_whitelist": _DEMUXERS}) as container:
            assert isinstance(container, av.container.InputContainer)
            stream = container.streams.audio[0]
            if (container.format.name, stream.codec.canonical_name) not in _ENCODINGS:
                raise _undecodable("Audio data does not appear to be in a supported encoding.")
            if not 8_000 <= stream.codec_context.sample_rate <= 48_000:
                raise _undecodable("Invalid audio sample rate: it must be between 8000 and 48000.")
            if each_channel and stream.codec_context.channels > _MOST_CHANNELS:
                raise _undecodable(f"Invalid audio channel count: at most {_MOST_CHANNELS} channels are transcribed.")
            channels = _channels(container, stream)[: None if each_channel else 1]
    except (av.error.FFmpegError, IndexError, EOFError) as error:
        raise _undecodable("Unable to decode the audio content.") from error
    return Sound([_wav(samples) for samples in channels], channels.shape[1] / _RATE)


def _wav(samples: NDArray[np.int16]) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(samples.tobytes())
    return target.getvalue()


def _channels(container: av.container.InputContainer, stream: av.AudioStream) -> NDArray[np.int16]:
    # Planar samples have a row for each channel.
    resampler = av.AudioResampler(format="s16p", rate=_RATE)
    heard = [resampled.to_ndarray() for frame in container.decode(stream) for resampled in resampler.resample(frame)]
    heard += [resampled.to_ndarray() for resampled in resampler.resample(None)]
    return np.concatenate(heard, axis=1) if heard else np.zeros((1, 0), np.int16)


def _undecodable(message: str) -> RefusedError:
    return RefusedError(grpc.StatusCode.INVALID_ARGUMENT, message)
