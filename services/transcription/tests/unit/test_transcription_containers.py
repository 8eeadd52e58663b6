"""Every container and codec on the list, written by FFmpeg's own encoders, and what else lies in such files."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from alta_common.contracts.media_types import HEAD_BYTES, VOICE_TYPES, recognise
from alta_common.engines.port import InputError
from alta_transcription.engines.audio import SAMPLE_RATE, open_recording

SECONDS = 2.0

FILES = [
    ("audio/wav", "wav", "pcm_u8", 8000, "mono"),
    ("audio/wav", "wav", "pcm_s24le", 96000, "stereo"),
    ("audio/wav", "wav", "pcm_f64le", 192000, "mono"),
    ("audio/wav", "wav", "pcm_alaw", 8000, "mono"),
    ("audio/wav", "wav", "adpcm_ms", 22050, "mono"),
    ("audio/wav", "wav", "adpcm_ima_wav", 22050, "mono"),
    ("audio/wav", "wav", "pcm_s16le", 48000, "7.1"),
    ("audio/x-w64", "w64", "pcm_s16le", 44100, "stereo"),
    ("audio/flac", "flac", "flac", 11025, "mono"),
    ("audio/ogg", "ogg", "vorbis", 44100, "stereo"),
    ("audio/ogg", "ogg", "libopus", 16000, "mono"),
    ("audio/mpeg", "mp3", "libmp3lame", 22050, "mono"),
    ("audio/mpeg", "mp2", "mp2", 48000, "stereo"),
    ("audio/aac", "adts", "aac", 44100, "mono"),
    ("audio/mp4", "ipod", "aac", 44100, "mono"),
    ("audio/mp4", "ipod", "alac", 44100, "stereo"),
    ("audio/mp4", "mp4", "libopus", 48000, "mono"),
    ("audio/mp4", "mov", "pcm_s16be", 44100, "mono"),
    ("audio/mp4", "3gp", "amr_nb", 8000, "mono"),
    ("audio/amr", "amr", "amr_nb", 8000, "mono"),
    ("audio/webm", "webm", "libopus", 48000, "mono"),
    ("video/matroska", "matroska", "aac", 48000, "5.1"),
    ("video/matroska", "matroska", "pcm_s16le", 44100, "mono"),
    ("video/x-msvideo", "avi", "libmp3lame", 44100, "mono"),
    ("audio/x-ms-wma", "asf", "wmav2", 44100, "mono"),
    ("audio/aiff", "aiff", "pcm_s16be", 44100, "mono"),
    ("audio/basic", "au", "pcm_mulaw", 8000, "mono"),
    ("audio/x-caf", "caf", "pcm_s16be", 44100, "mono"),
    ("audio/ac3", "ac3", "ac3", 48000, "5.1"),
    ("audio/ac3", "eac3", "eac3", 48000, "stereo"),
]
IDS = [f"{row[1]}-{row[2]}" for row in FILES]


def tone(seconds: float = SECONDS, hertz: float = 440) -> np.ndarray:
    return (0.5 * np.sin(np.arange(int(seconds * SAMPLE_RATE)) * 2 * np.pi * hertz / SAMPLE_RATE)).astype(np.float32)


def decoded(path: Path) -> np.ndarray:
    with open_recording(path) as recording:
        return np.concatenate(list(recording.blocks(3600)))


def damaged(path: Path) -> bool:
    with open_recording(path) as recording:
        for _ in recording.blocks(3600):
            pass
        return recording.damaged


def sounding(samples: np.ndarray) -> list[float]:
    """When sound begins and ends, in seconds."""
    loud = np.flatnonzero(np.abs(samples) > 0.1)
    return [float(loud[0]) / SAMPLE_RATE, float(loud[-1]) / SAMPLE_RATE]


def pitch(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples))
    return float(np.argmax(spectrum) * SAMPLE_RATE / samples.size)


def frames_of(stream: av.AudioStream, samples: np.ndarray, start: float = 0.0) -> list[av.Packet]:
    """Encode `samples`, the first of which is heard at `start`."""
    context = stream.codec_context
    if not context.is_open:
        context.open()
    size = context.frame_size or 1024
    resampler = av.AudioResampler(
        format=context.format.name, layout=context.layout.name, rate=context.sample_rate, frame_size=size
    )
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    packets, done = [], round(start * context.sample_rate)
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        piece.pts, piece.time_base = done, Fraction(1, context.sample_rate)
        done += piece.samples
        packets += stream.encode(piece)
    return packets


def pictures_of(stream: av.VideoStream, count: int) -> list[av.Packet]:
    packets = []
    for number in range(count):
        picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number % 256, np.uint8), format="rgb24")
        picture.pts = number
        packets += stream.encode(picture)
    return [*packets, *stream.encode(None)]


def add_picture(output: av.container.OutputContainer, codec: str) -> av.VideoStream:
    stream = output.add_stream(codec, rate=10)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    return stream


@pytest.mark.parametrize(("media_type", "container", "codec", "rate", "layout"), FILES, ids=IDS)
def test_it_is_recognised_and_decoded(
    media_type: str, container: str, codec: str, rate: int, layout: str, tmp_path: Path, encode
) -> None:
    path = encode(tmp_path / "named.bin", container, codec, samples=tone(), rate=rate, layout=layout)

    found = decoded(path)

    assert recognise(path.read_bytes()[:HEAD_BYTES], VOICE_TYPES) == media_type
    # Lossy codecs add a frame or two at the edges.
    assert found.size / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.15)
    assert pitch(found) == pytest.approx(440, abs=5)


# Frames in a row, each by itself: nothing in them tells how many there were.
ROWS_OF_FRAMES = {"mp2", "ac3", "eac3"}


@pytest.mark.parametrize(("container", "codec", "rate", "layout"), [row[1:] for row in FILES], ids=IDS)
def test_half_a_recording_is_a_damaged_one_and_a_whole_one_is_not(
    container: str, codec: str, rate: int, layout: str, tmp_path: Path, speech, encode
) -> None:
    whole = encode(tmp_path / "whole", container, codec, samples=speech, rate=rate, layout=layout)
    content = whole.read_bytes()
    (tmp_path / "half").write_bytes(content[: len(content) // 2])

    assert not damaged(whole)
    if container in {"ipod", "mp4", "mov", "3gp"}:
        # These have what tells how to read them at their end.
        with pytest.raises(InputError):
            damaged(tmp_path / "half")
    else:
        assert damaged(tmp_path / "half") is (container not in ROWS_OF_FRAMES)


def test_an_mp4_that_begins_with_its_index_is_missed_what_it_lacks(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w", format="mp4", options={"movflags": "faststart"}) as output:
        stream = output.add_stream("aac", rate=48000, layout="mono")
        output.mux(frames_of(stream, tone(8.0)) + stream.encode(None))
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(content[: len(content) // 2])

    assert not damaged(tmp_path / "a.mp4")
    assert damaged(tmp_path / "half.mp4")


@pytest.mark.parametrize(("container", "sound"), [("mp4", "aac"), ("matroska", "ac3"), ("avi", "libmp3lame")])
def test_a_film_may_go_on_after_its_sound(container: str, sound: str, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "film"), "w", format=container) as output:
        film = add_picture(output, "mpeg4")
        stream = output.add_stream(sound, rate=48000, layout="mono")
        packets = frames_of(stream, tone()) + stream.encode(None)
        output.mux(pictures_of(film, 80))
        output.mux(packets)

    assert not damaged(tmp_path / "film")


@pytest.mark.parametrize("container", ["webm", "matroska"])
def test_nothing_is_missed_of_a_recording_whose_clock_does_not_begin_at_zero(container: str, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "later"), "w", format=container) as output:
        stream = output.add_stream("libopus", rate=48000, layout="mono")
        output.mux(frames_of(stream, tone(8.0), start=60.0) + stream.encode(None))
    content = (tmp_path / "later").read_bytes()
    (tmp_path / "half").write_bytes(content[: len(content) // 2])

    assert decoded(tmp_path / "later").size / SAMPLE_RATE == pytest.approx(8.0, abs=0.15)
    assert not damaged(tmp_path / "later")
    assert damaged(tmp_path / "half")


def test_a_length_that_is_guessed_is_not_missed(tmp_path: Path) -> None:
    """An MP3 without a header of its own, the beginning of which takes fewer bits than the rest."""
    content = b""
    for bits in (32_000, 256_000):
        with av.open(
            str(tmp_path / "a.mp3"), "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}
        ) as output:
            stream = output.add_stream("libmp3lame", rate=44100, layout="mono")
            stream.bit_rate = bits
            output.mux(frames_of(stream, tone(8.0)) + stream.encode(None))
        content += (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "both.mp3").write_bytes(content)

    with open_recording(tmp_path / "both.mp3") as recording:
        assert (recording.claimed_seconds or 0) > 20
    assert not damaged(tmp_path / "both.mp3")


def test_every_type_that_is_taken_in_was_tried() -> None:
    tried = {row[0] for row in FILES}

    # QuickTime of before 2001 has no writer any more; its bytes differ from MP4's in the first box only.
    assert {one.media_type for one in VOICE_TYPES} - tried == {"video/quicktime"}


def test_quicktime_without_its_type_box_is_read(tmp_path: Path, encode) -> None:
    content = encode(tmp_path / "a.mov", "mov", "pcm_s16le", samples=tone(), rate=44100).read_bytes()
    size = int.from_bytes(content[:4], "big")
    # Offsets into the file stay right when the box is only renamed.
    (tmp_path / "old.mov").write_bytes(content[:4] + b"free" + bytes(size - 8) + content[size:])

    assert recognise((tmp_path / "old.mov").read_bytes()[:HEAD_BYTES], VOICE_TYPES) == "video/quicktime"
    assert decoded(tmp_path / "old.mov").size / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.05)


@pytest.mark.parametrize(
    ("container", "picture", "sound"),
    [
        ("mp4", "libx264", "aac"),
        ("mov", "mpeg4", "pcm_s16le"),
        ("3gp", "mpeg4", "aac"),
        ("webm", "libvpx", "libopus"),
        ("matroska", "libx264", "ac3"),
        ("avi", "mpeg4", "libmp3lame"),
        ("asf", "mpeg4", "wmav2"),
    ],
)
def test_the_sound_of_a_film_is_read(container: str, picture: str, sound: str, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "film"), "w", format=container) as output:
        film = add_picture(output, picture)
        stream = output.add_stream(sound, rate=48000, layout="mono")
        if sound == "wmav2":
            stream.bit_rate = 64_000
        packets = frames_of(stream, tone()) + stream.encode(None)
        output.mux(pictures_of(film, 20))
        output.mux(packets)

    found = decoded(tmp_path / "film")

    assert found.size / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.2)
    assert pitch(found) == pytest.approx(440, abs=5)


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_sound_that_begins_after_the_picture_keeps_its_time(container: str, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "film"), "w", format=container) as output:
        film = add_picture(output, "mpeg4")
        stream = output.add_stream("ac3", rate=48000, layout="mono")
        packets = frames_of(stream, tone(), start=1.5) + stream.encode(None)
        output.mux(pictures_of(film, 40))
        output.mux(packets)

    assert sounding(decoded(tmp_path / "film")) == pytest.approx([1.5, 3.5], abs=0.1)


@pytest.mark.parametrize("container", ["mp4", "matroska", "webm"])
def test_a_gap_in_the_sound_is_silence(container: str, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "gap"), "w", format=container) as output:
        stream = output.add_stream("libopus", rate=48000, layout="mono")
        output.mux(frames_of(stream, tone(1.0)))
        output.mux(frames_of(stream, tone(1.0), start=6.0) + stream.encode(None))

    found = decoded(tmp_path / "gap")

    assert found.size / SAMPLE_RATE == pytest.approx(7.0, abs=0.1)
    assert np.abs(found[int(1.2 * SAMPLE_RATE) : int(5.8 * SAMPLE_RATE)]).max() < 0.1


def test_a_leap_of_years_is_no_gap(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "leap.mkv"), "w", format="matroska") as output:
        stream = output.add_stream("libopus", rate=48000, layout="mono")
        output.mux(frames_of(stream, tone(1.0)))
        output.mux(frames_of(stream, tone(1.0), start=1e8) + stream.encode(None))

    assert decoded(tmp_path / "leap.mkv").size / SAMPLE_RATE == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(("container", "codec"), [("mp3", "libmp3lame"), ("mp4", "aac"), ("flac", "flac")])
def test_a_cover_is_not_taken_for_a_film(container: str, codec: str, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "song"), "w", format=container) as output:
        stream = output.add_stream(codec, rate=44100, layout="mono")
        cover = output.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 64
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        packets = frames_of(stream, tone()) + stream.encode(None)
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        output.mux(cover.encode(picture) + cover.encode(None))
        output.mux(packets)

    found = decoded(tmp_path / "song")

    assert found.size / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.15)
    assert pitch(found) == pytest.approx(440, abs=5)


def test_of_several_sounds_the_default_one_is_read(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "two.mkv"), "w", format="matroska") as output:
        other = output.add_stream("pcm_s16le", rate=16000, layout="mono")
        chosen = output.add_stream("pcm_s16le", rate=16000, layout="mono")
        other.disposition = av.stream.Disposition.dub
        chosen.disposition = av.stream.Disposition.default
        output.mux(frames_of(other, tone(hertz=880)) + other.encode(None))
        output.mux(frames_of(chosen, tone(hertz=440)) + chosen.encode(None))

    assert pitch(decoded(tmp_path / "two.mkv")) == pytest.approx(440, abs=5)


@pytest.mark.parametrize("container", ["flac", "webm", "mp3"])
def test_the_length_is_found_without_decoding(container: str, tmp_path: Path, encode) -> None:
    codec = {"flac": "flac", "webm": "libopus", "mp3": "libmp3lame"}[container]
    path = encode(tmp_path / "a", container, codec, samples=tone(), rate=48000)

    with open_recording(path) as recording:
        assert max(recording.packet_ends(60)) == pytest.approx(SECONDS, abs=0.15)
