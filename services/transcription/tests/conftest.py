import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from alta_common.contracts.projects import VoiceTranscriptionRequested
from alta_common.ids import new_id
from alta_common.testing import texts
from alta_transcription.engines.audio import open_recording

Samples = NDArray[np.float32]

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "data"
RATE = 16_000


@pytest.fixture(scope="session")
def word_errors() -> Callable[[str, str], tuple[int, int]]:
    """How many words are wrong, of how many in the reference."""
    return texts.word_errors


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the real recordings of {SHARED} are not here")
    return SHARED


@pytest.fixture(scope="session")
def note() -> Path:
    """16 seconds of speech from the repository's samples."""
    return ROOT / "samples" / "site-visit-note.wav"


@pytest.fixture(scope="session")
def note_text() -> str:
    return (ROOT / "samples" / "text" / "site-visit-note.txt").read_text()


@pytest.fixture(scope="session")
def speech(note: Path) -> Samples:
    with open_recording(note) as recording:
        return np.concatenate(list(recording.blocks(60)))


@pytest.fixture(scope="session")
def call() -> Samples:
    """Another recording of the repository's samples."""
    with open_recording(ROOT / "samples" / "support-call.ogg") as recording:
        return np.concatenate(list(recording.blocks(120)))


@pytest.fixture(scope="session")
def call_text() -> str:
    return (ROOT / "samples" / "text" / "support-call.txt").read_text()


@pytest.fixture(scope="session")
def encode() -> Callable[..., Path]:
    """Write samples (16 kHz mono) into a file of some container and codec."""

    def write(
        path: Path,
        container: str,
        codec: str,
        *,
        samples: Samples | list[Samples],
        rate: int = RATE,
        layout: str = "mono",
    ) -> Path:
        blocks = samples if isinstance(samples, list) else [samples]
        with av.open(str(path), "w", format=container) as output:
            # FFmpeg's own encoder of Vorbis is an experiment, and that of WMA wants to be told a bit rate.
            stream = output.add_stream(codec, rate=rate, layout=layout, options={"strict": "experimental"})
            if codec == "wmav2":
                stream.bit_rate = 64_000
            sample_format = stream.codec_context.format.name
            resampler = av.AudioResampler(format=sample_format, layout=layout, rate=rate, frame_size=1024)
            for block in blocks:
                frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout="mono")
                frame.sample_rate = RATE
                for piece in resampler.resample(frame):
                    output.mux(stream.encode(piece))
            for piece in resampler.resample(None):
                output.mux(stream.encode(piece))
            output.mux(stream.encode(None))
        return path

    return write


@pytest.fixture(scope="session")
def silent_flac() -> Callable[[Path, float], Path]:
    """Write so many hours of silence into a small FLAC; 1 kHz, because that is quick to make."""

    def write(path: Path, hours: float) -> Path:
        minute = np.zeros((1, 60_000), dtype=np.int16)
        with av.open(str(path), "w", format="flac") as output:
            stream = output.add_stream("flac", rate=1000, layout="mono")
            for _ in range(round(hours * 60)):
                frame = av.AudioFrame.from_ndarray(minute, format="s16", layout="mono")
                frame.sample_rate = 1000
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path

    return write


@pytest.fixture(scope="session")
def wav() -> Callable[..., bytes]:
    """A WAV file whose header says what it is told to say."""

    def build(
        data: bytes,
        *,
        rate: int = RATE,
        channels: int = 1,
        bits: int = 16,
        tag: int = 1,
        data_size: int | None = None,
        riff_size: int | None = None,
    ) -> bytes:
        byte_rate, block = rate * channels * bits // 8 & 0xFFFFFFFF, channels * bits // 8 & 0xFFFF
        header = struct.pack("<HHIIHH", tag, channels, rate, byte_rate, block, bits)
        riff_size = 36 + len(data) if riff_size is None else riff_size
        data_size = len(data) if data_size is None else data_size
        parts = [b"RIFF", struct.pack("<I", riff_size), b"WAVEfmt ", struct.pack("<I", 16), header]
        return b"".join([*parts, b"data", struct.pack("<I", data_size), data])

    return build


@pytest.fixture(scope="session")
def pcm(speech: Samples) -> bytes:
    """Five seconds of speech as 16 bit PCM."""
    return bytes((speech[: 5 * RATE] * 32767).astype("<i2").tobytes())


@pytest.fixture
def a_request() -> Callable[..., VoiceTranscriptionRequested]:
    def build(**changes: object) -> VoiceTranscriptionRequested:
        sample_id, project_id = new_id(), new_id()
        fields = {
            "voice_sample_id": sample_id,
            "project_id": project_id,
            "object_key": f"voice/{project_id}/{sample_id}/original",
            "content_type": "audio/wav",
            "size_bytes": 1000,
            "sha256": "0" * 64,
            "filename": "call.wav",
        }
        return VoiceTranscriptionRequested.model_validate(fields | changes)

    return build
