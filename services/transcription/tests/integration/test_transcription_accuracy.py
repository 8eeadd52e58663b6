"""Real recordings with their texts, where they are present: ../shared/data beside the repository."""

import csv
import sys
from pathlib import Path

import pytest

from alta_common.contracts.results import Segment
from alta_common.engines.port import InputError
from alta_common.workers.child import Reporter
from alta_common.workers.wire import Message
from alta_transcription.engines.confidence import LOW_CONFIDENCE, NO_SPEECH, warnings_of
from alta_transcription.engines.whisper_config import WhisperConfig
from alta_transcription.engines.whisper_jobs import Summary, transcribe, warm_up

CONFIG = WhisperConfig("tiny.en")


def hear(path: Path) -> tuple[Summary, list[Segment]]:
    messages: list[Message] = []
    summary = transcribe(Reporter(messages.append), CONFIG, path, None, 3600)
    return summary, [segment for message in messages for segment in message.value.segments]


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
