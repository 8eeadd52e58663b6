from datetime import timedelta

import pytest

from alta_common.engines.rules import DELIVERY_GRACE
from alta_common.settings import load
from alta_ocr.settings import OcrSettings
from alta_ocr.worker import documentai_config


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OcrSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_broker_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load(OcrSettings)

    assert "RABBITMQ_URL" in capsys.readouterr().err


def test_a_slice_may_not_outlast_the_brokers_patience(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RABBITMQ_URL", "amqp://localhost/")
    monkeypatch.setenv("OCR_SLICE_MINUTES", "28")

    with pytest.raises(SystemExit):
        load(OcrSettings)

    assert "OCR_SLICE_MINUTES" in capsys.readouterr().err


def test_only_engines_that_exist_can_be_chosen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RABBITMQ_URL", "amqp://localhost/")
    monkeypatch.setenv("OCR_ENGINE", "tea-leaves")

    with pytest.raises(SystemExit):
        load(OcrSettings)

    assert "OCR_ENGINE" in capsys.readouterr().err


def test_the_defaults_fit_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBITMQ_URL", "amqp://localhost/")

    settings = load(OcrSettings)

    assert settings.ocr_workers in {1, 2}
    assert timedelta(minutes=settings.ocr_slice_minutes) + DELIVERY_GRACE < timedelta(minutes=30)


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in OcrSettings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"DOCUMENTAI_PROCESSOR": "abc"}, "GCS_PROJECT_ID"),
        ({"OCR_ENGINE": "documentai"}, "DOCUMENTAI_PROCESSOR"),
        ({"OCR_FALLBACK_ENGINE": "google"}, "DOCUMENTAI_PROCESSOR"),
    ],
)
def test_document_ai_needs_a_processor_and_its_project(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variables: dict[str, str], named: str
) -> None:
    for name, value in ({"RABBITMQ_URL": "amqp://localhost/"} | variables).items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit):
        load(OcrSettings)

    assert named in capsys.readouterr().err


def test_a_processor_has_one_name_and_results_tell_which_version_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "RABBITMQ_URL": "amqp://localhost/",
        "DOCUMENTAI_PROCESSOR": "abc",
        "GCS_PROJECT_ID": "archive",
        "DOCUMENTAI_LOCATION": "eu",
    }.items():
        monkeypatch.setenv(name, value)
    default = documentai_config(load(OcrSettings))
    monkeypatch.setenv("DOCUMENTAI_PROCESSOR_VERSION", "pretrained-ocr-v2.1-2024-08-07")
    fixed = documentai_config(load(OcrSettings))

    assert default.processor == "projects/archive/locations/eu/processors/abc"
    assert fixed.processor == f"{default.processor}/processorVersions/pretrained-ocr-v2.1-2024-08-07"
    assert (default.info.version, fixed.info.version) == ("default", "pretrained-ocr-v2.1-2024-08-07")
    assert default.info.config_hash != fixed.info.config_hash
