"""Recordings: speech by flite (CMU Arctic voices), in a room, with the hum of an office."""

import shutil
import subprocess
import tempfile
import wave
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE = 16_000
Sound = NDArray[np.float32]


def speak(text: str, voice: str) -> Sound:
    """Return a voice saying a text, 16 kHz mono, -1 to 1."""
    program = shutil.which("flite")
    if program is None:
        raise SystemExit("flite is missing; on Debian or Ubuntu: apt-get install flite")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = [program, "-voice", voice, "-t", text, "-o", str(path)]
        subprocess.run(command, check=True)  # noqa: S603 - texts of ours
        with wave.open(str(path)) as file:
            if file.getframerate() != RATE:
                raise SystemExit(f"flite's voice {voice} has {file.getframerate()} samples a second, not {RATE}")
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
    return (samples / 32768).astype(np.float32)


def pause(seconds: float) -> Sound:
    """Return silence."""
    return np.zeros(int(seconds * RATE), dtype=np.float32)


def in_a_room(sound: Sound, rng: np.random.Generator, noise_db: float) -> Sound:
    """Return a sound with a short echo, room noise and mains hum, at a usual level."""
    echo = np.zeros(int(0.18 * RATE), dtype=np.float32)
    echo[0] = 1
    tail = np.arange(1, len(echo))
    echo[1:] = 0.035 * rng.normal(0, 1, len(tail)) * np.exp(-tail / (0.04 * RATE))
    wet = np.convolve(sound, echo)
    time = np.arange(len(wet)) / RATE
    level = 10 ** (noise_db / 20)
    noise = np.convolve(rng.normal(0, level, len(wet)), np.ones(4) / 4, "same") + 0.5 * level * np.sin(314.16 * time)
    mixed = wet / np.abs(wet).max() * 0.7 + noise
    return np.clip(mixed, -1, 1).astype(np.float32)


def write_wav(path: Path, sound: Sound) -> None:
    """Write 16-bit PCM."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound * 32767).astype("<i2").tobytes())


def write_opus(path: Path, sound: Sound) -> None:
    """Write Ogg with Opus at 24 kbit/s, as telephone systems and messengers record."""
    with av.open(str(path), "w", format="ogg", options={"fflags": "+bitexact", "serial_offset": "1"}) as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        stream.bit_rate = 24_000
        resampler = av.AudioResampler(format="flt", layout="mono", rate=48_000)
        frame = av.AudioFrame.from_ndarray(sound[None, :], format="flt", layout="mono")
        frame.sample_rate = RATE
        for resampled in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
