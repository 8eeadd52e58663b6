from datetime import timedelta

import pytest

from alta_common.engines.rules import DELIVERY_GRACE
from alta_common.settings import load
from alta_ocr.settings import OcrSettings


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
