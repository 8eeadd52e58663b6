"""A Cloud Storage emulator that forgets everything."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

_START_SECONDS = 60


@contextmanager
def gcs_emulator(*buckets: str) -> Iterator[str]:
    """Run an emulator that keeps everything in memory; yield its address (GCS_ENDPOINT)."""
    from alta_stack.cloud_storage import arguments, binary
    from alta_stack.processes import free_ports

    (port,) = free_ports(1)
    endpoint = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(  # noqa: S603 - our own arguments
        arguments(binary(), port, "-backend", "memory"),
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
