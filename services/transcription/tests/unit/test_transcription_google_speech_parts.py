"""What Google's answers become, and what is asked of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from google.cloud.speech_v2.types import cloud_speech

from alta_common.engines.port import InputError
from alta_common.workers.child import Reporter
from alta_transcription.engines.audio import SAMPLE_RATE, Encoding, open_recording
from alta_transcription.engines.google_speech_audio import PreparedAudio, is_decoded, prepare
from alta_transcription.engines.google_speech_config import GoogleSpeechConfig
from alta_transcription.engines.google_speech_results import language_of, segments_of

CONFIG = GoogleSpeechConfig("test", "global", "_", "long", "en-GB")


def result(text: str, *words: dict, end: float | None = None, **fields: object) -> object:
    answer = cloud_speech.SpeechRecognitionResult(
        alternatives=[{"transcript": text, "words": words}],
        result_end_offset=None if end is None else timedelta(seconds=end),
        **fields,
    )
    return cloud_speech.SpeechRecognitionResult.pb(answer)


def word(text: str, start: float, end: float, speaker: str = "") -> dict:
    return {
        "word": text,
        "start_offset": timedelta(seconds=start),
        "end_offset": timedelta(seconds=end),
        "speaker_label": speaker,
    }


def test_a_result_without_word_times_follows_the_one_before() -> None:
    segments = segments_of([result("one two", end=2.5), result(" three ", end=4.0)], 5000)

    assert [(part.start_ms, part.end_ms, part.text) for part in segments] == [
        (0, 2500, "one two"),
        (2500, 4000, "three"),
    ]


def test_what_says_nothing_is_left_out() -> None:
    empty = cloud_speech.SpeechRecognitionResult.pb(cloud_speech.SpeechRecognitionResult())

    assert segments_of([empty, result("  ", end=1.0)], 5000) == []


def test_times_lie_within_the_recording() -> None:
    (segment,) = segments_of([result("so long", word("so", 1, 0.5), word("long", 4.5, 6.2), end=6.2)], 5000)

    assert [(spoken.start_ms, spoken.end_ms) for spoken in segment.words] == [(1000, 1000), (4500, 5000)]
    assert (segment.start_ms, segment.end_ms) == (1000, 5000)


def test_a_change_of_the_speaker_begins_a_segment() -> None:
    words = [word("hello", 0, 1, "1"), word("you", 1, 2, "1"), word("hi", 2, 3, "2"), word("well", 3, 4, "1")]

    segments = segments_of([result("hello you hi well", *words, end=4)], 5000)

    assert [(part.speaker, part.text, part.start_ms) for part in segments] == [
        ("1", "hello you", 0),
        ("2", "hi", 2000),
        ("1", "well", 3000),
    ]


def test_channels_that_were_heard_apart_are_told_apart() -> None:
    caller = result("hello", word("hello", 0, 1), end=1, channel_tag=1)
    agent = result("hi", word("hi", 0.5, 1), end=1, channel_tag=2)
    later = result("bye", end=3, channel_tag=1)

    segments = segments_of([caller, later, agent], 5000)

    assert [(part.speaker, part.text, part.start_ms) for part in segments] == [
        ("channel 1", "hello", 0),
        ("channel 2", "hi", 500),
        ("channel 1", "bye", 1000),
    ]


def test_a_confidence_below_a_half_is_marked() -> None:
    unsure = cloud_speech.SpeechRecognitionResult(alternatives=[{"transcript": "maybe", "confidence": 0.3}])

    (segment,) = segments_of([cloud_speech.SpeechRecognitionResult.pb(unsure)], 5000)

    assert (segment.confidence, segment.low_confidence) == (0.3, True)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], None),
        (["en-us"], "en-US"),
        (["de-de", "en-us", "de-de"], "de-DE"),
        (["cmn-hans-cn"], "cmn-Hans-CN"),
        (["", "fr"], "fr"),
    ],
)
def test_the_language_is_the_one_of_most_results(codes: list[str], expected: str | None) -> None:
    assert language_of([result("x", language_code=code) for code in codes]) == expected


@pytest.mark.parametrize(
    ("asked", "sent"), [(None, "en-GB"), ("en", "en-GB"), ("de", "de-DE"), ("FR", "fr-FR"), ("pt-PT", "pt-PT")]
)
def test_a_language_without_a_region_gets_its_usual_one(asked: str | None, sent: str) -> None:
    assert list(CONFIG.recognition(asked).language_codes) == [sent]


def test_word_times_and_confidences_are_asked_for() -> None:
    features = CONFIG.recognition(None).features

    assert features.enable_word_time_offsets
    assert features.enable_word_confidence


def test_each_location_has_its_endpoint() -> None:
    assert CONFIG.endpoint == "speech.googleapis.com"
    assert replace(CONFIG, location="eu").endpoint == "eu-speech.googleapis.com"
    assert replace(CONFIG, location="eu").recognizer_name == "projects/test/locations/eu/recognizers/_"


def test_the_hash_changes_with_what_the_answer_depends_on() -> None:
    assert replace(CONFIG, model="chirp_2").hash != CONFIG.hash
    assert replace(CONFIG, project="other").hash == CONFIG.hash


def prepared(path: Path, max_seconds: float = 60, *, separate: bool = False) -> PreparedAudio:
    return prepare(Reporter(lambda _: None), path, path.with_name("prepared.flac"), max_seconds, separate)


def test_a_recording_of_sounds_that_google_takes_is_taken(tmp_path: Path, wav, pcm) -> None:
    (tmp_path / "a.wav").write_bytes(wav(pcm))

    audio = prepared(tmp_path / "a.wav")

    assert (audio.taken_as_it_is, audio.silent, audio.damaged, audio.duration_ms) == (True, False, False, 5000)
    assert audio.flac.read_bytes().startswith(b"fLaC")


@pytest.mark.parametrize(
    "sizes",
    [
        {"data_size": 0xFFFFFFFF, "riff_size": 0xFFFFFFFF},
        {"data_size": 0, "riff_size": 0},
        {"riff_size": 0},
        {"data_size": 10_000_000},
    ],
    ids=str,
)
def test_a_wav_whose_header_does_not_know_its_length_is_not_taken(tmp_path: Path, wav, pcm, sizes: dict) -> None:
    (tmp_path / "a.wav").write_bytes(wav(pcm, **sizes))

    audio = prepared(tmp_path / "a.wav")

    assert (audio.taken_as_it_is, audio.duration_ms) == (False, 5000)


def test_preparing_stops_where_a_recording_becomes_too_long(tmp_path: Path, wav, pcm) -> None:
    (tmp_path / "a.wav").write_bytes(wav(pcm, data_size=100 * SAMPLE_RATE))

    with pytest.raises(InputError) as refusal:
        prepared(tmp_path / "a.wav", max_seconds=2)

    assert refusal.value.code == "audio_too_long"


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_the_channels_that_google_hears_by_themselves_lie_beside_each_other(tmp_path: Path, wav, count: int) -> None:
    # Each at a loudness of its own, which is 0 in none of them.
    samples = np.full((8000, count), 0.01) * (np.arange(count) + 1) * 32767
    (tmp_path / "a.wav").write_bytes(wav(samples.astype("<i2").tobytes(), channels=count, rate=16000))

    audio = prepared(tmp_path / "a.wav", separate=True)

    assert audio.is_separate is (2 <= count <= 8)
    assert audio.taken_as_it_is is (count == 1)
    with open_recording(audio.flac) as flac:
        assert flac.encoding.channels == (count if audio.is_separate else 1)
        heard = [float(np.concatenate(list(track)).mean()) for track in tracks_of(audio.flac, flac.encoding.channels)]
    expected = [0.01 * (number + 1) for number in range(count)] if audio.is_separate else [0.01 * (count + 1) / 2]
    assert heard == pytest.approx(expected, abs=1e-3)
    assert not prepared(tmp_path / "a.wav").is_separate


def tracks_of(path: Path, count: int) -> Iterator[Iterator[np.ndarray]]:
    for channel in range(count):
        with open_recording(path) as recording:
            yield recording.blocks(60, channel)


def test_a_channel_that_is_heard_alone_is_told_from_the_others() -> None:
    (segment,) = segments_of([result("hello", word("hello", 0, 1), end=1, channel_tag=2)], 5000, separate=True)

    assert segment.speaker == "channel 2"


def test_each_channel_is_asked_for_where_they_are_separate() -> None:
    mode = type(CONFIG.recognition(None).features).MultiChannelMode

    assert CONFIG.recognition(None).features.multi_channel_mode == mode.MULTI_CHANNEL_MODE_UNSPECIFIED
    separate = CONFIG.recognition(None, separate=True).features
    assert separate.multi_channel_mode == mode.SEPARATE_RECOGNITION_PER_CHANNEL
    assert separate.enable_word_time_offsets


def test_long_silence_is_told_while_it_is_decoded(tmp_path: Path, silent_flac) -> None:
    told: list[float] = []
    path = silent_flac(tmp_path / "silence.flac", 0.2)

    audio = prepare(Reporter(lambda message: told.append(message.value)), path, tmp_path / "out.flac", 3600, False)

    assert audio.silent
    assert audio.duration_ms == pytest.approx(720_000, abs=1000)
    assert len(told) == 2
    assert (tmp_path / "out.flac").stat().st_size < 2_000_000


ENCODINGS = [
    (Encoding("ogg", "opus", 48000, 1, 1), True),
    (Encoding("ogg", "vorbis", 48000, 1, 1), False),
    (Encoding("asf", "wmav2", 44100, 1, 1), False),
    (Encoding("amr", "amr_nb", 8000, 1, 1), True),
    (Encoding("mp3", "mp3", 44100, 1, 2), False),
    (Encoding("mp3", "mp3", 44100, 2, 1), False),
    (Encoding("wav", "pcm_s16le", 4000, 1, 1), False),
    (Encoding("wav", "adpcm_ms", 22050, 1, 1), False),
]


@pytest.mark.parametrize(("encoding", "taken"), ENCODINGS, ids=[f"{e.codec}-{e.channels}" for e, _ in ENCODINGS])
def test_google_takes_few_encodings_and_hears_one_channel(encoding: Encoding, taken: bool) -> None:
    assert is_decoded(encoding) is taken
