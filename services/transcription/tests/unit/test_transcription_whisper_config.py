from pathlib import Path

import pytest
from pydantic import ValidationError

from alta_transcription.engines.whisper_config import WhisperConfig
from alta_transcription.settings import TranscriptionSettings


def test_results_tell_configurations_apart() -> None:
    configs = [WhisperConfig("tiny.en"), WhisperConfig("tiny.en", "float32"), WhisperConfig("/models/base.en")]

    assert len({config.hash_of(channels) for config in configs for channels in ("mixed", "separate")}) == 6
    assert WhisperConfig("tiny.en").hash_of("mixed") == WhisperConfig("tiny.en").hash_of("mixed")


def test_where_a_model_lies_makes_no_difference() -> None:
    here, there = WhisperConfig("/models/base.en"), WhisperConfig(str(Path("/srv") / "base.en"))

    assert here.model_name == there.model_name == "base.en"
    assert here.hash_of("mixed") == there.hash_of("mixed")


def test_a_slice_may_not_outlast_the_brokers_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBITMQ_URL", "amqp://localhost/")
    monkeypatch.setenv("TRANSCRIPTION_SLICE_MINUTES", "28")

    with pytest.raises(ValidationError, match="transcription_slice_minutes"):
        TranscriptionSettings()
