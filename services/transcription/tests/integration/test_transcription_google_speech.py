"""Google's engine through Google's own client library: what is sent, and what becomes of the answer."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest

from alta_emulators.speech_testing import CONFIG, EmulatedSpeech, a_result, heard
from alta_transcription.engines.audio import SAMPLE_RATE
from alta_transcription.engines.google_speech import GoogleSpeechLimits

pytestmark = pytest.mark.asyncio(loop_scope="module")


def sound_of(heard_wav: bytes) -> np.ndarray:
    with wave.open(io.BytesIO(heard_wav)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def content_of(path: Path) -> bytes:
    return path.read_bytes()


async def test_a_short_recording_is_heard_in_one_call(google: EmulatedSpeech, clip: Path) -> None:
    transcription = await heard(google.engine(), clip)

    assert google.faults.calls == {"Recognize": 1}
    (request,) = google.service.requests
    assert request.content == content_of(clip)
    assert request.recognizer == "projects/test/locations/eu/recognizers/_"
    assert (request.config.model, list(request.config.language_codes)) == ("long", ["en-US"])
    assert (transcription.text, transcription.language, transcription.duration_ms) == ("hello there", "en-US", 5000)
    (segment,) = transcription.segments
    assert (segment.start_ms, segment.end_ms, segment.confidence) == (500, 1400, 0.9)
    assert [(word.text, word.start_ms, word.end_ms, word.confidence) for word in segment.words] == [
        ("hello", 500, 900, 0.9),
        ("there", 1000, 1400, 0.9),
    ]
    info = transcription.engine
    assert (info.name, info.version, info.config_hash) == ("google-speech", "long", CONFIG.hash)
    assert transcription.warnings == []


async def test_a_recording_of_a_minute_is_short_enough(google: EmulatedSpeech, tmp_path: Path, speech, encode) -> None:
    samples = np.tile(speech[: 16 * SAMPLE_RATE], 4)[: 59 * SAMPLE_RATE]
    # Two minutes' worth of bytes: what does not fit into a call as it is goes as FLAC.
    path = encode(tmp_path / "large.wav", "wav", "pcm_s16le", samples=samples, rate=48000)

    await heard(google.engine(limits=GoogleSpeechLimits(inline_bytes=4_000_000)), path)

    assert google.faults.calls == {"Recognize": 1}
    assert google.service.requests[0].content.startswith(b"fLaC")


TRANSCODED = [
    ("a.aiff", "aiff", "pcm_s16be", 44100, "mono"),
    ("24bit.wav", "wav", "pcm_s24le", 48000, "mono"),
    ("32bit.wav", "wav", "pcm_s32le", 48000, "mono"),
    ("float.wav", "wav", "pcm_f32le", 22050, "mono"),
    ("8bit.wav", "wav", "pcm_u8", 8000, "mono"),
    ("stereo.wav", "wav", "pcm_s16le", 44100, "stereo"),
    ("surround.flac", "flac", "flac", 48000, "5.1"),
    ("96khz.flac", "flac", "flac", 96000, "mono"),
    ("alac.m4a", "ipod", "alac", 44100, "mono"),
    ("a.ac3", "ac3", "ac3", 48000, "mono"),
    ("a.mka", "matroska", "libopus", 48000, "mono"),
    ("a.caf", "caf", "pcm_s16le", 44100, "mono"),
    ("a.au", "au", "pcm_s16be", 44100, "mono"),
    ("a.3gp", "3gp", "aac", 44100, "mono"),
    ("a.aac", "adts", "aac", 44100, "mono"),
]
TAKEN = [
    ("16bit.wav", "wav", "pcm_s16le", 16000, "mono"),
    ("mulaw.wav", "wav", "pcm_mulaw", 8000, "mono"),
    ("alaw.wav", "wav", "pcm_alaw", 8000, "mono"),
    ("a.flac", "flac", "flac", 48000, "mono"),
    ("a.mp3", "mp3", "libmp3lame", 44100, "mono"),
    ("opus.ogg", "ogg", "libopus", 48000, "mono"),
    ("opus.webm", "webm", "libopus", 48000, "mono"),
    ("aac.m4a", "ipod", "aac", 44100, "mono"),
    ("aac.mp4", "mp4", "aac", 44100, "mono"),
]


@pytest.mark.parametrize(
    ("name", "container", "codec", "rate", "layout"), TRANSCODED, ids=[row[0] for row in TRANSCODED]
)
async def test_what_google_does_not_take_is_transcoded(
    name: str,
    container: str,
    codec: str,
    rate: int,
    layout: str,
    google: EmulatedSpeech,
    tmp_path: Path,
    speech,
    encode,
) -> None:
    original = speech[: 3 * SAMPLE_RATE]
    path = encode(tmp_path / name, container, codec, samples=original, rate=rate, layout=layout)

    transcription = await heard(google.engine(), path)

    assert google.service.requests[0].content.startswith(b"fLaC")
    ((heard_wav, _),) = google.backend.heard
    assert sound_of(heard_wav).size / SAMPLE_RATE == pytest.approx(3, abs=0.2)
    assert transcription.duration_ms == pytest.approx(3000, abs=200)


@pytest.mark.parametrize(("name", "container", "codec", "rate", "layout"), TAKEN, ids=[row[0] for row in TAKEN])
async def test_what_google_takes_goes_as_it_is(
    name: str,
    container: str,
    codec: str,
    rate: int,
    layout: str,
    google: EmulatedSpeech,
    tmp_path: Path,
    speech,
    encode,
) -> None:
    original = speech[: 3 * SAMPLE_RATE]
    path = encode(tmp_path / name, container, codec, samples=original, rate=rate, layout=layout)

    await heard(google.engine(), path)

    assert google.service.requests[0].content == content_of(path)


async def test_the_second_channel_is_heard_too(google: EmulatedSpeech, tmp_path: Path, wav, pcm) -> None:
    right = np.frombuffer(pcm, "<i2")
    stereo = np.column_stack([np.zeros_like(right), right]).tobytes()
    (tmp_path / "right.wav").write_bytes(wav(stereo, channels=2))

    await heard(google.engine(), tmp_path / "right.wav")

    assert np.abs(sound_of(google.backend.heard[0][0])).max() > 1000


@pytest.mark.parametrize("through_storage", [False, True])
async def test_two_sides_of_a_call_are_heard_one_by_one(
    google: EmulatedSpeech, tmp_path: Path, wav, pcm, through_storage: bool
) -> None:
    left = np.frombuffer(pcm, "<i2")
    right = left[::-1]
    (tmp_path / "call.wav").write_bytes(wav(np.column_stack([left, right]).tobytes(), channels=2))
    engine = google.through_storage() if through_storage else google.engine()

    transcription = await heard(engine, tmp_path / "call.wav", channels="separate")

    for (side, _), said in zip(google.backend.heard, (left, right), strict=True):
        assert np.abs(sound_of(side).astype(int) - said).max() <= 2
    # Both begin at the same time: in the order of the channels, segment by segment.
    assert [(part.speaker, part.start_ms, part.text) for part in transcription.segments] == [
        ("channel 1", 500, "hello there"),
        ("channel 2", 500, "hello there"),
    ]
    assert transcription.duration_ms == 5000
    (request,) = google.service.requests
    mode = type(request.config.features).MultiChannelMode
    assert request.config.features.multi_channel_mode == mode.SEPARATE_RECOGNITION_PER_CHANNEL


@pytest.mark.parametrize(("count", "channels"), [(1, "separate"), (2, "mixed"), (9, "separate")])
async def test_one_channel_and_more_than_google_tells_apart_are_heard_as_one(
    google: EmulatedSpeech, tmp_path: Path, wav, pcm, count: int, channels: str
) -> None:
    samples = np.column_stack([np.frombuffer(pcm, "<i2")] * count)
    (tmp_path / "call.wav").write_bytes(wav(samples.tobytes(), channels=count))

    transcription = await heard(google.engine(), tmp_path / "call.wav", channels=channels)

    assert [(part.speaker, part.text) for part in transcription.segments] == [(None, "hello there")]
    assert len(google.backend.heard) == 1


async def test_silence_is_not_sent(google: EmulatedSpeech, tmp_path: Path, wav) -> None:
    (tmp_path / "silence.wav").write_bytes(wav(bytes(4 * SAMPLE_RATE)))

    transcription = await heard(google.engine(), tmp_path / "silence.wav")

    assert google.faults.calls == {}
    assert (transcription.segments, transcription.warnings) == ([], ["no_speech"])
    assert transcription.duration_ms == 2000


async def test_nothing_heard_is_no_failure(google: EmulatedSpeech, clip: Path) -> None:
    google.backend.results = []

    transcription = await heard(google.engine(), clip)

    assert (transcription.text, transcription.language, transcription.warnings) == ("", None, ["no_speech"])


async def test_confidences_that_are_not_given_are_none(google: EmulatedSpeech, clip: Path) -> None:
    google.backend.results = [a_result("hello there", confidence=0.0)]

    (segment,) = (await heard(google.engine(), clip)).segments

    assert segment.confidence is None
    assert [word.confidence for word in segment.words] == [None, None]
    assert not segment.low_confidence


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for hole in np.random.default_rng(3).integers(1000, len(content), 300):
        content[hole] ^= 0xFF
    path.write_bytes(content)


async def test_a_damaged_recording_is_sent_clean_and_says_so(
    google: EmulatedSpeech, tmp_path: Path, speech, encode
) -> None:
    path = encode(tmp_path / "damaged.mp3", "mp3", "libmp3lame", samples=speech[: 8 * SAMPLE_RATE])
    damage(path)

    transcription = await heard(google.engine(), path)

    assert google.service.requests[0].content.startswith(b"fLaC")
    assert transcription.warnings == ["partly_damaged"]


@pytest.mark.parametrize(("asked", "sent"), [(None, "en-US"), ("de", "de-DE"), ("en", "en-US"), ("pt-PT", "pt-PT")])
async def test_the_language_that_was_asked_for_is_sent(
    asked: str | None, sent: str, google: EmulatedSpeech, clip: Path
) -> None:
    await heard(google.engine(), clip, language=asked)

    assert google.backend.heard[0][1] == sent
