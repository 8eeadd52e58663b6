"""Files that mean harm, or are broken, through the real worker processes: each gets its answer, alone."""

import asyncio
import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from alta_common.engines.port import EngineError, SourceFile
from alta_common.workers.pool import WorkerLimits, WorkerPool
from alta_transcription.engines.audio import SAMPLE_RATE
from alta_transcription.engines.engine import SpeechOptions, Transcription
from alta_transcription.engines.whisper import WhisperEngine, WhisperLimits
from alta_transcription.engines.whisper_config import WhisperConfig
from alta_transcription.engines.whisper_jobs import warm_up_task

CONFIG = WhisperConfig("tiny.en")
MAX_SECONDS = 1800
GIB = 1 << 30

Files = dict[str, bytes]


@dataclass(frozen=True)
class Makers:
    """The fixtures that make files."""

    folder: Path
    wav: Callable[..., bytes]
    encode: Callable[..., Path]
    silent_flac: Callable[[Path, float], Path]
    speech: np.ndarray
    pcm: bytes

    def encoded(self, container: str, codec: str, seconds: float = 6, rate: int = 48000) -> bytes:
        samples = self.speech[: int(seconds * SAMPLE_RATE)]
        path = self.encode(self.folder / f"made-{container}", container, codec, samples=samples, rate=rate)
        return path.read_bytes()


def noise(size: int) -> bytes:
    return np.random.default_rng(7).integers(0, 256, size, dtype=np.uint8).tobytes()


def flipped(content: bytes, count: int) -> bytes:
    """Flip some bytes in the last quarter: the beginning is still to be heard."""
    damaged = bytearray(content)
    for place in np.random.default_rng(3).integers(len(content) * 3 // 4, len(content), count):
        damaged[place] ^= 0xFF
    return bytes(damaged)


def zip_bomb() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10_000_000))
    return content.getvalue()


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def nested_boxes(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = box(b"moov", content)
    return box(b"ftyp", b"isom\0\0\0\0isom") + content


def ebml(kind: str, content: bytes) -> bytes:
    return bytes.fromhex(kind) + struct.pack(">Q", len(content) | 1 << 56) + content


def lacing_bomb() -> bytes:
    """Blocks that say they hold 256 frames each, of more bytes than there are."""
    head = ebml("1a45dfa3", ebml("4282", b"webm"))
    track = ebml("d7", b"\x01") + ebml("83", b"\x02") + ebml("86", b"A_OPUS") + ebml("73c5", b"\x01")
    blocks = ebml("a3", b"\x81\x00\x00\x06\xff" + b"\x7f\xff" * 255) * 2000
    cluster = ebml("1f43b675", ebml("e7", b"\x00") + blocks)
    return head + ebml("18538067", ebml("1654ae6b", ebml("ae", track)) + cluster)


def film_without_sound(path: Path) -> bytes:
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        output.mux(stream.encode(None))
    return path.read_bytes()


def what_is_no_recording() -> Files:
    return {
        "a letter": b"Dear Sir or Madam,\n" * 100,
        "a letter in UTF-16": "Dear Sir or Madam".encode("utf-16"),
        "a web page": b"<!doctype html><html><audio src=file:///etc/passwd></html>",
        "a picture in XML": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        "a playlist": b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n",
        "a DASH manifest": b"<?xml version='1.0'?><MPD><BaseURL>http://127.0.0.1:9/</BaseURL></MPD>",
        "a session description": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\n",
        "a concat script": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "a program": b"\x7fELF\x02\x01\x01" + bytes(100),
        "a zip bomb": zip_bomb(),
        "a photo": b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(100),
        "a PDF": b"%PDF-1.7\n",
        "a PDF before a recording": b"%PDF-1.7\nRIFF\0\0\0\0WAVEfmt ",
    }


def what_is_broken(make: Makers) -> Files:
    return {
        "nothing": b"",
        "a WAV without a rate": make.wav(make.pcm, rate=0),
        "a WAV of 4 GHz": make.wav(make.pcm, rate=4_000_000_000),
        "a WAV of 10 MHz": make.wav(make.pcm, rate=10_000_000),
        "a WAV of one sample a second": make.wav(make.pcm, rate=1),
        "a WAV of 65535 channels": make.wav(make.pcm, channels=65535),
        "noise called FLAC": b"fLaC" + noise(50_000),
        "noise called Ogg": b"OggS" + noise(50_000),
        "noise called Matroska": b"\x1a\x45\xdf\xa3\x42\x82\x88matroska" + noise(50_000),
        "a tag that claims 256 MB": b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + noise(50_000),
        "an M4A without its end": make.encoded("ipod", "aac")[:20_000],
        "boxes in boxes": nested_boxes(2000),
        "frames that are not there": lacing_bomb(),
    }


def what_is_silent(make: Makers) -> Files:
    odd = np.sin(np.arange(2 * SAMPLE_RATE)).astype("<f4")
    odd[::3] = np.nan
    odd[1::3] = np.inf
    return {
        "a twentieth of a second": make.wav(make.pcm[: SAMPLE_RATE // 10]),
        "a size of 100 bytes": make.wav(make.pcm, data_size=100),
        "samples that are no numbers": make.wav(odd.tobytes(), bits=32, tag=3),
        "all at full scale": make.wav(np.full(5 * SAMPLE_RATE, 32767, "<i2").tobytes()),
        "full scale up and down": make.wav(np.tile(np.array([32767, -32768], "<i2"), 40_000).tobytes()),
    }


def what_is_heard(make: Makers) -> Files:
    ogg = make.encoded("ogg", "libopus")
    return {
        "a size of 4 GB": make.wav(make.pcm, data_size=0xFFFFFFFF, riff_size=0xFFFFFFFF),
        "sizes of zero": make.wav(make.pcm, data_size=0, riff_size=0),
        "half an MP3": make.encoded("mp3", "libmp3lame", 12)[:60_000],
        "an Ogg with broken pages": flipped(ogg, 6),
        "an Ogg whose time begins again": ogg + ogg,
        "a FLAC with flipped bits": flipped(make.encoded("flac", "flac"), 20),
        "a recording that is a zip as well": make.wav(make.pcm) + zip_bomb(),
    }


ANSWERS: dict[str, list[str]] = {
    "unsupported_media_type": [*what_is_no_recording(), "a WAV in an encoding of its own"],
    "corrupt_file": [
        "nothing",
        "a WAV without a rate",
        "a WAV of 4 GHz",
        "a WAV of 10 MHz",
        "a WAV of 65535 channels",
        "noise called FLAC",
        "noise called Ogg",
        "noise called Matroska",
        "a tag that claims 256 MB",
        "an M4A without its end",
        "boxes in boxes",
    ],
    "no_audio": ["a film without sound", "a WAV of nothing", "frames that are not there"],
    "audio_too_long": ["ten hours of silence in 3 MB", "a WAV of one sample a second"],
    "no_speech": [
        "a twentieth of a second",
        "a size of 100 bytes",
        "samples that are no numbers",
        "all at full scale",
        "full scale up and down",
    ],
    "heard": [
        "a size of 4 GB",
        "sizes of zero",
        "half an MP3",
        "an Ogg with broken pages",
        "an Ogg whose time begins again",
        "a FLAC with flipped bits",
        "a recording that is a zip as well",
    ],
}


REFUSALS = ("unsupported_media_type", "corrupt_file", "no_audio", "audio_too_long")


@pytest.fixture(scope="module")
def makers(tmp_path_factory, wav, encode, silent_flac, speech, pcm) -> Makers:
    return Makers(tmp_path_factory.mktemp("hostile"), wav, encode, silent_flac, speech, pcm)


@pytest.fixture(scope="module")
def files(makers: Makers) -> dict[str, Path]:
    content = {
        **what_is_no_recording(),
        **what_is_broken(makers),
        **what_is_silent(makers),
        **what_is_heard(makers),
        "a WAV in an encoding of its own": makers.wav(makers.pcm, tag=0x1234),
        "a WAV of nothing": makers.wav(b""),
        "a film without sound": film_without_sound(makers.folder / "film.mp4"),
        "ten hours of silence in 3 MB": makers.silent_flac(makers.folder / "hours.flac", 10).read_bytes(),
    }
    paths = {kind: makers.folder / f"{number}.wav" for number, kind in enumerate(content)}
    for kind, path in paths.items():
        path.write_bytes(content[kind])
    return paths


@dataclass(frozen=True)
class Outcome:
    answers: dict[str, Transcription | EngineError]
    beside: Transcription
    restarts: list[str]


async def _answers(files: dict[str, Path], beside: Path) -> Outcome:
    restarts: list[str] = []
    limits = WorkerLimits(job_seconds=120, step_seconds=60, memory_bytes=3 * GIB)
    pool = WorkerPool("stt", 2, limits, warm_up=warm_up_task(CONFIG), on_restart=restarts.append)
    engine = WhisperEngine(pool, CONFIG, WhisperLimits(MAX_SECONDS, job_seconds=240))

    async def answer(path: Path) -> Transcription | EngineError:
        try:
            return await engine.transcribe(SourceFile(path, "audio/wav"), SpeechOptions(), lambda *_: None)
        except EngineError as error:
            return error

    await pool.start()
    try:
        good, *others = await asyncio.gather(answer(beside), *(answer(path) for path in files.values()))
    finally:
        await pool.close()
    assert isinstance(good, Transcription)
    return Outcome(dict(zip(files, others, strict=True)), good, restarts)


@pytest.fixture(scope="module")
def outcome(files: dict[str, Path], note: Path) -> Outcome:
    return asyncio.run(_answers(files, note))


def test_every_kind_has_its_answer(files: dict[str, Path]) -> None:
    assert sorted(kind for kinds in ANSWERS.values() for kind in kinds) == sorted(files)
    assert len(files) >= 40


@pytest.mark.parametrize(
    ("kind", "code"),
    [(kind, code) for code in REFUSALS for kind in ANSWERS[code]],
)
def test_it_is_refused_for_good(kind: str, code: str, outcome: Outcome) -> None:
    answer = outcome.answers[kind]

    assert isinstance(answer, EngineError), answer
    assert (answer.code, answer.retryable) == (code, False)
    assert answer.detail.endswith(".")


@pytest.mark.parametrize("kind", ANSWERS["no_speech"])
def test_nobody_is_heard_in_it(kind: str, outcome: Outcome) -> None:
    answer = outcome.answers[kind]

    assert isinstance(answer, Transcription), answer
    assert answer.segments == []
    assert "no_speech" in answer.warnings


@pytest.mark.parametrize("kind", ANSWERS["heard"])
def test_what_is_there_is_heard(kind: str, outcome: Outcome) -> None:
    answer = outcome.answers[kind]

    assert isinstance(answer, Transcription), answer
    assert "morning" in answer.text.lower()
    assert all(0 <= segment.start_ms <= segment.end_ms <= answer.duration_ms for segment in answer.segments)


def test_time_that_begins_again_goes_on(outcome: Outcome) -> None:
    twice = outcome.answers["an Ogg whose time begins again"]

    assert isinstance(twice, Transcription)
    assert twice.text.lower().count("morning") == 2
    assert twice.duration_ms == pytest.approx(12_000, abs=300)


def test_a_good_recording_beside_them_is_not_disturbed(outcome: Outcome, note_text: str, word_errors) -> None:
    wrong, words = word_errors(note_text, outcome.beside.text)

    assert wrong / words < 0.2, outcome.beside.text
    assert outcome.restarts == []
