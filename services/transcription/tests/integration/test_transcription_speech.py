"""The model itself, in this process: what it hears in files of every kind, and in none."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from alta_common.contracts.results import Segment
from alta_common.engines.port import InputError
from alta_common.workers.child import Reporter
from alta_common.workers.wire import Message
from alta_transcription.engines.audio import SAMPLE_RATE
from alta_transcription.engines.chunks import cut_into_chunks
from alta_transcription.engines.whisper_config import WhisperConfig
from alta_transcription.engines.whisper_jobs import Heard, Summary, transcribe
from alta_transcription.engines.whisper_model import Listener

CONFIG = WhisperConfig("tiny.en")


@dataclass
class Hearing:
    summary: Summary
    reports: list[Heard] = field(default_factory=list)
    units: int = 0

    @property
    def segments(self) -> list[Segment]:
        return [segment for report in self.reports for segment in report.segments]

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments)


def hear(path: Path, *, language: str | None = None, max_seconds: float = 3600) -> Hearing:
    messages: list[Message] = []
    reporter = Reporter(messages.append)
    summary = transcribe(reporter, CONFIG, path, language, max_seconds)
    return Hearing(summary, [message.value for message in messages], reporter.units)


LONGEST_WORD_MS = 2500


def times_grow(segments: list[Segment], duration_ms: int) -> bool:
    """Whether words follow each other within their segments, each of them as long as a word is."""
    moments = [moment for segment in segments for word in segment.words for moment in (word.start_ms, word.end_ms)]
    starts = [segment.start_ms for segment in segments]
    inside = all(s.start_ms <= w.start_ms <= w.end_ms <= s.end_ms for s in segments for w in s.words)
    short = all(word.end_ms - word.start_ms <= LONGEST_WORD_MS for segment in segments for word in segment.words)
    in_order = moments == sorted(moments) and starts == sorted(starts)
    return in_order and inside and short and max(moments) <= duration_ms


@pytest.mark.parametrize(
    ("name", "container", "codec", "rate", "layout"),
    [
        ("telephone.wav", "wav", "pcm_mulaw", 8000, "mono"),
        ("studio.wav", "wav", "pcm_s24le", 48000, "stereo"),
        ("float.wav", "wav", "pcm_f32le", 22050, "mono"),
        ("a.flac", "flac", "flac", 44100, "mono"),
        ("a.mp3", "mp3", "libmp3lame", 44100, "mono"),
        ("a.ogg", "ogg", "libopus", 48000, "mono"),
        ("a.m4a", "ipod", "aac", 44100, "mono"),
        ("a.webm", "webm", "libopus", 48000, "mono"),
    ],
)
def test_the_same_is_heard_in_every_format(
    name: str,
    container: str,
    codec: str,
    rate: int,
    layout: str,
    tmp_path: Path,
    speech,
    encode,
    note_text: str,
    word_errors,
) -> None:
    path = encode(tmp_path / name, container, codec, samples=speech, rate=rate, layout=layout)

    found = hear(path)

    wrong, words = word_errors(note_text, found.text)
    # What a telephone leaves of a synthetic voice is hard to understand for anybody.
    assert wrong / words < (0.4 if rate == 8000 else 0.25), found.text
    assert found.summary.duration_ms == pytest.approx(speech.size / 16, abs=100)
    assert found.summary.language == "en"
    assert times_grow(found.segments, found.summary.duration_ms)


def test_a_recording_is_heard_with_times_confidences_and_progress(note, note_text, word_errors) -> None:
    found = hear(note)

    wrong, words = word_errors(note_text, found.text)
    assert wrong / words < 0.15, found.text
    assert times_grow(found.segments, found.summary.duration_ms)
    assert all(word.text == word.text.strip() for segment in found.segments for word in segment.words)
    assert all(0 < (segment.confidence or 0) <= 1 for segment in found.segments)
    assert not any(segment.low_confidence for segment in found.segments)
    done = [report.done_seconds for report in found.reports]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(found.reports[-1].total_seconds, abs=0.1)
    assert found.units == 17
    assert found.summary.cpu_seconds > 0


def test_words_are_heard_when_they_are_said_however_long_the_silence_before(tmp_path: Path, speech, encode) -> None:
    # The note, cut in its pauses, and a word of each phrase.
    cuts = [0.0, 1.35, 4.7, 9.0, 11.45, speech.size / SAMPLE_RATE]
    marks = ["morning", "march", "clean", "broken", "month"]
    silence = 20.0
    phrases = [speech[int(a * SAMPLE_RATE) : int(b * SAMPLE_RATE)] for a, b in pairwise(cuts)]
    pause = np.zeros(int(silence * SAMPLE_RATE), np.float32)
    path = encode(tmp_path / "a.flac", "flac", "flac", samples=[part for phrase in phrases for part in (phrase, pause)])

    found = hear(path)

    spans = [(a + n * silence, b + n * silence) for n, (a, b) in enumerate(pairwise(cuts))]
    assert times_grow(found.segments, found.summary.duration_ms)
    assert not any(segment.low_confidence for segment in found.segments)
    # No segment reaches over a silence, and each begins and ends with its words.
    assert all(any(within(s.start_ms, s.end_ms, span) for span in spans) for s in found.segments)
    assert all((s.start_ms, s.end_ms) == (s.words[0].start_ms, s.words[-1].end_ms) for s in found.segments)
    for mark, span in zip(marks, spans, strict=True):
        said = [w for s in found.segments for w in s.words if w.text.lower().strip(",.") == mark]
        assert [within(word.start_ms, word.end_ms, span) for word in said] == [True], mark


def within(start_ms: int, end_ms: int, span: tuple[float, float]) -> bool:
    return span[0] - 0.5 <= start_ms / 1000 and end_ms / 1000 <= span[1] + 0.5


def tone() -> np.ndarray:
    return 0.3 * np.sin(np.arange(8 * SAMPLE_RATE) * 2 * np.pi * 440 / SAMPLE_RATE)


NOTHING: dict[str, Callable[[], np.ndarray]] = {
    "silence": lambda: np.zeros(8 * SAMPLE_RATE),
    "white noise": lambda: np.random.default_rng(1).normal(0, 0.1, 8 * SAMPLE_RATE),
    "a tone": tone,
    "a click": lambda: np.r_[np.ones(50), np.zeros(750)],
}


@pytest.mark.parametrize("kind", NOTHING)
def test_nothing_is_heard_where_nobody_speaks(kind: str, tmp_path: Path, wav) -> None:
    samples = (np.clip(NOTHING[kind](), -1, 1) * 32767).astype("<i2")
    (tmp_path / "nothing.wav").write_bytes(wav(samples.tobytes()))

    found = hear(tmp_path / "nothing.wav")

    assert found.segments == []
    assert found.summary.voiced_seconds < 1
    assert found.summary.duration_ms == round(samples.size / 16)


def test_speech_in_noise_is_shown_with_doubt(tmp_path: Path, speech, encode) -> None:
    """The model takes it for no speech; the detector hears a voice all the time."""
    noise = np.random.default_rng(5).normal(0, np.sqrt(np.square(speech).mean()), speech.size).astype(np.float32)

    found = hear(encode(tmp_path / "a.flac", "flac", "flac", samples=speech + noise))

    assert len(found.text.split()) > 10
    assert found.summary.voiced_seconds > 10
    assert all(segment.low_confidence for segment in found.segments)


def test_seams_between_chunks_lose_no_words(
    tmp_path: Path, speech, call, encode, note_text, call_text, word_errors, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = partial(cut_into_chunks, chunk_samples=40 * SAMPLE_RATE, search_samples=12 * SAMPLE_RATE)
    monkeypatch.setattr("alta_transcription.engines.whisper_jobs.cut_into_chunks", short)
    pause = np.zeros(SAMPLE_RATE, dtype=np.float32)
    times = 2
    path = encode(tmp_path / "long.ogg", "ogg", "libopus", samples=[speech, pause, call, pause] * times, rate=48000)

    found = hear(path)

    period = (speech.size + call.size + 2 * pause.size) / SAMPLE_RATE
    assert found.summary.duration_ms == pytest.approx(period * times * 1000, abs=200)
    wrong, words = word_errors(f"{note_text} {call_text} " * times, found.text)
    assert wrong / words < 0.2, found.text
    assert times_grow(found.segments, found.summary.duration_ms)
    # Each repetition is heard where it is, before and after the seams.
    mornings = [w.start_ms / 1000 for s in found.segments for w in s.words if w.text.lower().startswith("morning")]
    assert len(mornings) == times
    assert all(abs(start - n * period) < 2 for n, start in enumerate(mornings))


def test_what_is_too_long_is_refused_before_it_is_heard(tmp_path: Path, silent_flac) -> None:
    path = silent_flac(tmp_path / "hour.flac", 1)

    with pytest.raises(InputError) as refusal:
        hear(path, max_seconds=1800)

    assert refusal.value.code == "audio_too_long"
    assert refusal.value.detail == "The recording is longer than the 1800 seconds that are allowed."


def test_a_length_that_the_file_does_not_say_is_found_out(tmp_path: Path, wav, pcm) -> None:
    # Size 4 GB, as programs write it that do not know the length yet: 37 hours by the header, five seconds in truth.
    (tmp_path / "stream.wav").write_bytes(wav(pcm, data_size=0xFFFFFFFF, riff_size=0xFFFFFFFF))

    found = hear(tmp_path / "stream.wav", max_seconds=600)

    assert found.summary.duration_ms == 5000
    assert found.reports[-1].total_seconds == pytest.approx(5)


def test_a_language_that_the_model_does_not_know_is_noted(note) -> None:
    assert hear(note, language="de-CH").summary.other_language
    assert not hear(note, language="en-GB").summary.other_language


def test_the_encoder_does_not_listen_to_padding(monkeypatch: pytest.MonkeyPatch, speech) -> None:
    from faster_whisper import WhisperModel

    lengths: list[int] = []
    original = WhisperModel.encode

    def encode(self, features):
        lengths.append(features.shape[-1])
        return original(self, features)

    monkeypatch.setattr(WhisperModel, "encode", encode)
    listener = Listener(CONFIG)

    for seconds in (3, 16):
        list(listener.listen(speech[: seconds * SAMPLE_RATE], "en"))

    assert lengths[0] == 1000
    assert 1500 < lengths[1] < 2300
