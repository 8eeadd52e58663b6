from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from alta_common.engines.port import InputError
from alta_transcription.engines.audio import SAMPLE_RATE, open_recording

FORMATS = [
    ("pcm16.wav", "wav", "pcm_s16le", 44100, "stereo"),
    ("pcm8.wav", "wav", "pcm_u8", 8000, "mono"),
    ("pcm24.wav", "wav", "pcm_s24le", 48000, "mono"),
    ("float.wav", "wav", "pcm_f32le", 22050, "mono"),
    ("mulaw.wav", "wav", "pcm_mulaw", 8000, "mono"),
    ("surround.wav", "wav", "pcm_s16le", 48000, "5.1"),
    ("a.flac", "flac", "flac", 48000, "stereo"),
    ("a.mp3", "mp3", "libmp3lame", 44100, "mono"),
    ("a.ogg", "ogg", "libopus", 48000, "mono"),
    ("a.m4a", "ipod", "aac", 44100, "stereo"),
    ("a.webm", "webm", "libopus", 48000, "mono"),
    ("a.aiff", "aiff", "pcm_s16be", 44100, "mono"),
    ("a.mka", "matroska", "libopus", 48000, "mono"),
]


def decoded(path: Path, max_seconds: float = 60) -> np.ndarray:
    with open_recording(path) as recording:
        return np.concatenate(list(recording.blocks(max_seconds)))


def refusal_of(path: Path, max_seconds: float = 60) -> str:
    with pytest.raises(InputError) as refusal:
        decoded(path, max_seconds)
    return refusal.value.code


@pytest.mark.parametrize(("name", "container", "codec", "rate", "layout"), FORMATS, ids=[row[0] for row in FORMATS])
def test_every_format_becomes_the_same_sound(
    name: str, container: str, codec: str, rate: int, layout: str, tmp_path: Path, speech, encode
) -> None:
    original = speech[: 4 * SAMPLE_RATE]
    path = encode(tmp_path / name, container, codec, samples=original, rate=rate, layout=layout)

    found = decoded(path)

    assert abs(found.size - original.size) < 0.1 * SAMPLE_RATE
    assert found.dtype == np.float32
    # Codecs delay a little: compare how loud each tenth of a second is, not each sample.
    window = SAMPLE_RATE // 10
    length = min(found.size, original.size) // window * window
    loud_then, loud_now = (np.square(x[:length].reshape(-1, window)).mean(axis=1) for x in (original, found))
    assert np.corrcoef(loud_then, loud_now)[0, 1] > 0.9


def test_stereo_is_mixed_down(tmp_path: Path, wav) -> None:
    tone = np.sin(np.arange(SAMPLE_RATE) * 0.1) * 20000
    left_only = np.column_stack([tone, np.zeros_like(tone)]).astype("<i2").tobytes()
    (tmp_path / "left.wav").write_bytes(wav(left_only, channels=2))

    assert 0.2 < np.abs(decoded(tmp_path / "left.wav")).max() < 0.5


LYING = [
    ("a size of 4 GB", {"data_size": 0xFFFFFFFF}, 5.0),
    ("a size of 2 GB", {"data_size": 0x7FFFFFFF}, 5.0),
    ("a size that is SoX's for a pipe", {"data_size": 0x7FFFF000, "riff_size": 0x7FFFF024}, 5.0),
    ("sizes of zero", {"data_size": 0, "riff_size": 0}, 5.0),
    ("a size of 100 bytes", {"data_size": 100}, 0.003),
]


@pytest.mark.parametrize(("header", "seconds"), [row[1:] for row in LYING], ids=[row[0] for row in LYING])
def test_wav_headers_that_lie_are_seen_through(
    header: dict[str, int], seconds: float, tmp_path: Path, wav, pcm
) -> None:
    (tmp_path / "lie.wav").write_bytes(wav(pcm, **header))

    with open_recording(tmp_path / "lie.wav") as recording:
        length = sum(block.size for block in recording.blocks(60)) / SAMPLE_RATE

        assert length == pytest.approx(seconds, abs=0.01)
        assert not recording.damaged


@pytest.mark.parametrize(("missing", "damaged"), [(0.9, False), (1.1, True)])
def test_a_second_that_is_missing_makes_a_wav_a_damaged_one(
    missing: float, damaged: bool, tmp_path: Path, wav, pcm
) -> None:
    size = len(pcm) + int(missing * 2 * SAMPLE_RATE)
    (tmp_path / "a.wav").write_bytes(wav(pcm, data_size=size, riff_size=size + 36))

    with open_recording(tmp_path / "a.wav") as recording:
        assert sum(block.size for block in recording.blocks(60)) == 5 * SAMPLE_RATE
        assert recording.damaged is damaged


IMPOSSIBLE = [
    ("no rate", {"rate": 0}, "corrupt_file"),
    ("one sample a second", {"rate": 1}, "corrupt_file"),
    ("4 GHz", {"rate": 4_000_000_000}, "corrupt_file"),
    ("no channels", {"channels": 0}, "corrupt_file"),
    ("65535 channels", {"channels": 65535}, "corrupt_file"),
    ("an unknown encoding", {"tag": 0x1234}, "unsupported_media_type"),
]


@pytest.mark.parametrize(("header", "code"), [row[1:] for row in IMPOSSIBLE], ids=[row[0] for row in IMPOSSIBLE])
def test_wav_headers_that_cannot_be_are_refused(header: dict[str, int], code: str, tmp_path: Path, wav, pcm) -> None:
    (tmp_path / "lie.wav").write_bytes(wav(pcm, **header))

    assert refusal_of(tmp_path / "lie.wav") == code


def test_what_is_there_of_a_truncated_file_is_read(tmp_path: Path, speech, encode) -> None:
    whole = encode(tmp_path / "whole.mp3", "mp3", "libmp3lame", samples=speech[: 8 * SAMPLE_RATE])
    (tmp_path / "half.mp3").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    with open_recording(tmp_path / "half.mp3") as recording:
        assert 3 < sum(block.size for block in recording.blocks(60)) / SAMPLE_RATE < 5
        assert recording.damaged


@pytest.mark.parametrize("magic", [b"fLaC", b"OggS", b"ID3\x04\x00\x00\x00\x00\x7f\x7f", b"RIFF\x00\x00\x00\x00WAVE"])
def test_garbage_behind_a_good_beginning_is_a_damaged_file(magic: bytes, tmp_path: Path) -> None:
    garbage = np.random.default_rng(7).integers(0, 256, 50_000, dtype=np.uint8).tobytes()
    (tmp_path / "garbage").write_bytes(magic + garbage)

    assert refusal_of(tmp_path / "garbage") == "corrupt_file"


def test_a_file_with_holes_is_read_around_them(tmp_path: Path, speech, encode) -> None:
    path = encode(tmp_path / "a.mp3", "mp3", "libmp3lame", samples=speech[: 8 * SAMPLE_RATE])
    content = bytearray(path.read_bytes())
    holes = np.random.default_rng(3).integers(1000, len(content), 300)
    for hole in holes:
        content[hole] ^= 0xFF
    path.write_bytes(content)

    with open_recording(path) as recording:
        length = sum(block.size for block in recording.blocks(60)) / SAMPLE_RATE

        assert 4 < length < 9
        assert recording.damaged


def test_a_recording_of_nothing_has_no_audio(tmp_path: Path, wav) -> None:
    (tmp_path / "null.wav").write_bytes(wav(b""))

    assert refusal_of(tmp_path / "null.wav") == "no_audio"


def test_a_film_without_sound_has_no_audio(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "film.mp4"), "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        output.mux(stream.encode(None))

    assert refusal_of(tmp_path / "film.mp4") == "no_audio"


def test_what_is_too_long_is_counted_not_believed(tmp_path: Path, wav, pcm) -> None:
    (tmp_path / "a.wav").write_bytes(wav(pcm, data_size=0xFFFFFFFF))

    assert refusal_of(tmp_path / "a.wav", max_seconds=4.9) == "audio_too_long"
    assert decoded(tmp_path / "a.wav", max_seconds=5.1).size == 5 * SAMPLE_RATE


def test_samples_that_are_no_numbers_do_no_harm(tmp_path: Path, wav: Callable[..., bytes]) -> None:
    samples = np.sin(np.arange(SAMPLE_RATE) * 0.1).astype("<f4")
    samples[1000:1100] = np.nan
    samples[2000] = np.inf
    samples[3000:3100] = 1e30
    (tmp_path / "odd.wav").write_bytes(wav(samples.tobytes(), bits=32, tag=3))

    found = decoded(tmp_path / "odd.wav")

    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 1
    assert np.abs(found[8000:]).max() > 0.9


def of_channels(*channels: np.ndarray) -> bytes:
    return (np.column_stack(channels) * 20000).astype("<i2").tobytes()


def a_sound(hertz: float = 300, seconds: float = 2.0) -> np.ndarray:
    return np.sin(np.arange(int(seconds * SAMPLE_RATE)) * 2 * np.pi * hertz / SAMPLE_RATE)


@pytest.mark.parametrize("second", [-1.0, -0.9], ids=["the same", "a little softer"])
def test_channels_in_opposite_phase_are_heard(second: float, tmp_path: Path, wav) -> None:
    rustle = np.random.default_rng(1).normal(0, 0.01, 2 * SAMPLE_RATE)
    (tmp_path / "a.wav").write_bytes(wav(of_channels(a_sound() + rustle, second * a_sound() + rustle), channels=2))

    found = decoded(tmp_path / "a.wav")

    # Which way round is the same to the ear.
    assert abs(np.corrcoef(found, a_sound())[0, 1]) > 0.99
    assert np.abs(found).max() > 0.5


def test_two_that_speak_on_channels_of_their_own_are_both_heard(tmp_path: Path, wav) -> None:
    one, other = a_sound(300), a_sound(450)
    one[SAMPLE_RATE:] = 0
    (tmp_path / "a.wav").write_bytes(wav(of_channels(one, other), channels=2))

    found = decoded(tmp_path / "a.wav")

    assert found == pytest.approx((one + other) / 2 * 20000 / 32768, abs=0.001)


@pytest.mark.parametrize("count", [3, 6, 8, 9, 16, 32, 64])
def test_what_is_said_on_one_of_many_channels_is_heard(count: int, tmp_path: Path, wav) -> None:
    silent = np.zeros(2 * SAMPLE_RATE)
    channels = [a_sound() if number == 1 else silent for number in range(count)]
    (tmp_path / "a.wav").write_bytes(wav(of_channels(*channels), channels=count))

    found = decoded(tmp_path / "a.wav")

    assert found.size == 2 * SAMPLE_RATE
    assert np.corrcoef(found, a_sound())[0, 1] > 0.99


@pytest.mark.parametrize("count", [1, 2, 6, 16])
def test_each_channel_can_be_heard_by_itself(count: int, tmp_path: Path, wav) -> None:
    sounds = [a_sound(200 + 50 * number) for number in range(count)]
    (tmp_path / "a.wav").write_bytes(wav(of_channels(*sounds), channels=count))

    for number, sound in enumerate(sounds):
        with open_recording(tmp_path / "a.wav") as recording:
            found = np.concatenate(list(recording.blocks(60, number)))
            assert recording.encoding.channels == count
        assert found == pytest.approx(sound * 20000 / 32768, abs=0.001)


def test_a_part_with_fewer_channels_is_silence_in_the_others(tmp_path: Path, speech, encode) -> None:
    both = b"".join(
        encode(tmp_path / layout, "mp3", "libmp3lame", samples=speech[: 3 * SAMPLE_RATE], layout=layout).read_bytes()
        for layout in ("stereo", "mono")
    )
    (tmp_path / "both.mp3").write_bytes(both)

    with open_recording(tmp_path / "both.mp3") as recording:
        found = np.concatenate(list(recording.blocks(60, 1)))

    assert found.size / SAMPLE_RATE == pytest.approx(6, abs=0.3)
    assert np.abs(found[: 2 * SAMPLE_RATE]).max() > 0.1
    assert np.abs(found[4 * SAMPLE_RATE :]).max() == 0


def test_more_channels_than_can_be_read_are_refused(tmp_path: Path, wav) -> None:
    (tmp_path / "a.wav").write_bytes(wav(of_channels(*[a_sound()] * 128), channels=128))

    with pytest.raises(InputError) as refusal:
        decoded(tmp_path / "a.wav")

    assert refusal.value.code == "unsupported_media_type"
    assert "128 channels" in refusal.value.detail
