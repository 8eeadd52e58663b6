import errno
import shutil
import tempfile
from pathlib import Path

import pytest

from alta_common.engines.folders import remove_abandoned, working_folder

PREFIX = "alta-test-"


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_working_folder_is_gone_afterwards() -> None:
    with working_folder(PREFIX) as folder:
        (folder / "original").write_bytes(b"x")

    assert not folder.exists()


def test_what_a_killed_process_held_is_removed_and_what_is_held_is_not(tmp_path: Path) -> None:
    abandoned = tmp_path / f"{PREFIX}abandoned"
    abandoned.mkdir()
    (abandoned / "original").write_bytes(b"a user's document")
    other = tmp_path / "of-somebody-else"
    other.mkdir()

    with working_folder(PREFIX) as held:
        assert remove_abandoned(PREFIX) == 1
        assert held.exists()

    assert not abandoned.exists()
    assert other.exists()


def test_what_could_not_be_removed_is_removed_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_folder: Path) -> None:
        raise OSError(errno.EIO, "the disk is ill")

    abandoned = tmp_path / f"{PREFIX}abandoned"
    abandoned.mkdir()
    with monkeypatch.context() as ill:
        ill.setattr(shutil, "rmtree", fail)
        assert remove_abandoned(PREFIX) == 0

    assert remove_abandoned(PREFIX) == 1
    assert not abandoned.exists()
