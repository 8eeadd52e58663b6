"""The emulated cloud beside the local stack."""

import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from alta_common.settings import StorageSettings
from alta_common.storage import create_storage
from alta_common.testing import eventually
from alta_ocr.settings import OcrSettings
from alta_stack.addresses import Addresses
from alta_stack.cloud_storage import BUCKET, PROJECT, CloudStorageServer
from alta_stack.processes import StackError
from alta_stack.services import SERVICES, Ports, Service, Wiring
from alta_stack.settings import Home
from alta_stack.stack_file import hold_lock, home
from alta_transcription.settings import TranscriptionSettings

ADDRESSES = Addresses("postgresql://a:b@h/alta", "redis://r", "amqp://q", "", "alta", gcs_endpoint="http://s:1")
OCR, TRANSCRIPTION = (service for service in SERVICES if service.is_engine)


def wiring(home: Home, engines_port: int = 4711) -> Wiring:
    ports = {service.name: Ports(1, 2) for service in SERVICES}
    return Wiring(home, ADDRESSES, {}, ports, smtp_port=0, engines_port=engines_port)


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Home]:
    """The folder that commands use, given what CLOUD says."""
    monkeypatch.setenv("ALTA_HOME", str(tmp_path / "stack"))

    def with_cloud(value: str) -> Home:
        monkeypatch.setenv("CLOUD", value)
        return home()

    return with_cloud


def test_the_emulated_cloud_has_a_folder_of_its_own(named: Callable[[str], Home], tmp_path: Path) -> None:
    assert named("") == named("local") == Home(tmp_path / "stack")
    assert named("emulated") == Home(tmp_path / "stack-emulated", "emulated")


def test_a_cloud_that_does_not_exist_is_refused(named: Callable[[str], Home]) -> None:
    with pytest.raises(StackError, match="CLOUD is 'aws'; it must be one of local, emulated"):
        named("aws")


def test_commands_find_the_stack_that_runs(named: Callable[[str], Home], tmp_path: Path) -> None:
    local, emulated = Home(tmp_path / "stack"), Home(tmp_path / "stack-emulated", "emulated")

    with hold_lock(emulated):
        assert named("") == emulated
        with hold_lock(local):
            assert named("") == local
            assert named("emulated") == emulated

    assert named("") == local


@pytest.mark.parametrize(
    ("service", "settings", "engine"),
    [(OCR, OcrSettings, "documentai"), (TRANSCRIPTION, TranscriptionSettings, "google-speech")],
    ids=["ocr", "transcription"],
)
def test_services_get_settings_that_they_take(
    service: Service, settings: type, engine: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = wiring(Home(tmp_path, "emulated")).environment_of(service)
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    taken = settings()

    assert engine in {getattr(taken, "ocr_engine", ""), getattr(taken, "transcription_engine", "")}
    assert (taken.gcs_project_id, taken.gcs_bucket_name, taken.gcs_endpoint) == (PROJECT, BUCKET, "http://s:1")
    assert "127.0.0.1:4711" in {getattr(taken, "documentai_endpoint", ""), getattr(taken, "speech_endpoint", "")}


def test_nothing_of_a_real_cloud_reaches_the_emulated_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GCS_BUCKET_NAME", "acme-bucket")
    monkeypatch.setenv("GCS_ENDPOINT", "https://storage.acme.example")
    monkeypatch.setenv("DOCUMENTAI_ENDPOINT", "acme:443")
    monkeypatch.setenv("SPEECH_ENDPOINT", "acme:443")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/etc/acme-key.json")

    given = wiring(Home(tmp_path, "emulated")).environment_of(OCR)

    assert not [name for name, value in given.items() if "acme" in value]


def test_a_stack_without_a_cloud_leaves_the_real_one_to_its_caller(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GCS_BUCKET_NAME", "our-real-bucket")

    given = wiring(Home(tmp_path), engines_port=0).environment_of(OCR)

    assert given["GCS_BUCKET_NAME"] == "our-real-bucket"
    assert "OCR_ENGINE" not in given


async def test_objects_outlive_the_emulated_storage(tmp_path: Path) -> None:
    first, second = CloudStorageServer(tmp_path), CloudStorageServer(tmp_path)

    async def runs(server: CloudStorageServer) -> None:
        server.launch()
        await eventually(server.answers, within=timedelta(seconds=60))

    try:
        await runs(first)
        await storage_of(first).put_bytes("documents/a/original", b"hello", "text/plain")
        assert first.process is not None
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        await runs(second)

        assert await storage_of(second).read("documents/a/original") == b"hello"
    finally:
        first.stop()
        second.stop()


def storage_of(server: CloudStorageServer):
    settings = StorageSettings(gcs_project_id=PROJECT, gcs_bucket_name=BUCKET, gcs_endpoint=server.endpoint)
    return create_storage(settings)
