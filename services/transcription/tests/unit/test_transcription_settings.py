import pytest
from pydantic import ValidationError

from alta_transcription.settings import TranscriptionSettings
from alta_transcription.worker import recordings_at_once

BROKER = {"rabbitmq_url": "amqp://localhost"}
GOOGLE = {"speech_model": "long", "gcs_project_id": "p", "gcs_bucket_name": "b"}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TranscriptionSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def settings(**values: object) -> TranscriptionSettings:
    return TranscriptionSettings.model_validate(BROKER | values)


@pytest.mark.parametrize("missing", ["gcs_project_id", "gcs_bucket_name"])
def test_google_needs_somebody_who_pays_and_a_bucket(missing: str) -> None:
    with pytest.raises(ValidationError, match="SPEECH_MODEL needs GCS_PROJECT_ID"):
        settings(**GOOGLE | {missing: ""})


@pytest.mark.parametrize("name", ["transcription_engine", "transcription_fallback_engine"])
@pytest.mark.parametrize("engine", ["google", "google-speech"])
def test_an_engine_that_is_not_configured_cannot_be_the_deployments(name: str, engine: str) -> None:
    with pytest.raises(ValidationError, match="needs SPEECH_MODEL"):
        settings(**{name: engine})

    assert getattr(settings(**GOOGLE | {name: engine}), name) == engine


def test_as_many_recordings_as_workers_are_taken_when_these_transcribe() -> None:
    assert recordings_at_once(settings(**GOOGLE, transcription_workers=2, google_concurrency=8)) == 2


@pytest.mark.parametrize("engine", ["google", "google-speech"])
def test_more_recordings_than_workers_are_taken_when_google_transcribes(engine: str) -> None:
    taken = settings(**GOOGLE, transcription_engine=engine, transcription_workers=2, google_concurrency=8)

    assert recordings_at_once(taken) == 8
