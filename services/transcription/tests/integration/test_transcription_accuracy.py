"""Real recordings with their texts, where they are present: ../shared/data beside the repository."""

import csv
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from alta_common.contracts.results import Segment
from alta_common.engines.port import InputError
from alta_common.workers.child import Reporter
from alta_common.workers.wire import Message
from alta_transcription.engines.audio import SAMPLE_RATE, open_recording
from alta_transcription.engines.confidence import LOW_CONFIDENCE, NO_SPEECH, warnings_of
from alta_transcription.engines.whisper_config import WhisperConfig
from alta_transcription.engines.whisper_jobs import Summary, transcribe, warm_up

CONFIG = WhisperConfig("tiny.en")


def hear(path: Path) -> tuple[Summary, list[Segment]]:
    messages: list[Message] = []
    summary = transcribe(Reporter(messages.append), CONFIG, path, None, 3600)
    return summary, [segment for message in messages for segment in message.value.segments]


def decoded(path: Path) -> np.ndarray:
    with open_recording(path) as recording:
        return np.concatenate(list(recording.blocks(60)))


def test_real_english_is_heard_well(shared_data, word_errors, capsys) -> None:
    with (shared_data / "manifest.tsv").open() as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["kind"] == "audio" and row["truth"]]
    warm_up(Reporter(lambda _: None), CONFIG)
    wrong = words = 0
    cpu_seconds = audio_seconds = 0.0

    for row in rows:
        summary, segments = hear(shared_data / row["file"])
        errors, length = word_errors(
            (shared_data / row["truth"]).read_text(), " ".join(segment.text for segment in segments)
        )
        wrong, words = wrong + errors, words + length
        cpu_seconds, audio_seconds = cpu_seconds + summary.cpu_seconds, audio_seconds + summary.duration_ms / 1000
        assert LOW_CONFIDENCE not in warnings_of(segments, other_language=False, damaged=False), row["file"]

    with capsys.disabled():
        sys.stdout.write(
            f"\nspeech: {len(rows)} clips, WER {wrong / words:.1%}, RTF {cpu_seconds / audio_seconds:.3f}\n"
        )
    assert words > 100
    assert wrong / words <= 0.05


def test_silence_between_phrases_is_in_no_word(shared_data, tmp_path: Path, encode) -> None:
    """A speech in four phrases, and another recording 40 s before it: what is removed of silence moves no word."""
    jfk, digits = decoded(shared_data / "audio" / "whisper_jfk.flac"), decoded(shared_data / "audio" / "vosk_test.wav")
    cuts = [0.0, 2.8, 5.0, 7.9, 11.0]
    parts = [digits, np.zeros(40 * SAMPLE_RATE, np.float32)]
    begin = sum(part.size for part in parts) / SAMPLE_RATE
    for start, end in pairwise(cuts):
        parts += [jfk[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)], np.zeros(6 * SAMPLE_RATE, np.float32)]

    _, segments = hear(encode(tmp_path / "a.flac", "flac", "flac", samples=parts))

    spans = [(begin + a + 6 * n - 0.5, begin + b + 6 * n + 0.5) for n, (a, b) in enumerate(pairwise(cuts))]
    spans.append((0, digits.size / SAMPLE_RATE + 0.5))
    assert warnings_of(segments, other_language=False, damaged=False) == []
    assert all(
        any(a <= segment.start_ms / 1000 and segment.end_ms / 1000 <= b for a, b in spans) for segment in segments
    )
    words = [word for segment in segments for word in segment.words]
    assert max(word.end_ms - word.start_ms for word in words) <= 2500
    asked = [word.start_ms / 1000 - begin for word in words if word.text.lower() == "ask"]
    assert asked == pytest.approx([3.2 + 6, 8.1 + 18], abs=0.5)


def test_german_is_flagged(shared_data) -> None:
    _, segments = hear(shared_data / "audio" / "leopard_test_de.wav")

    assert LOW_CONFIDENCE in warnings_of(segments, other_language=False, damaged=False)
    assert all(segment.low_confidence for segment in segments)


def test_an_empty_room_is_silence(shared_data) -> None:
    _, segments = hear(shared_data / "audio" / "leopard_empty.wav")

    assert warnings_of(segments, other_language=False, damaged=False) == [NO_SPEECH]


@pytest.mark.parametrize(
    ("name", "code"), [("pillow_broken.png", "unsupported_media_type"), ("ps_null.wav", "no_audio")]
)
def test_bad_files_are_refused(name: str, code: str, shared_data) -> None:
    with pytest.raises(InputError) as refusal:
        hear(shared_data / "bad" / name)

    assert refusal.value.code == code
