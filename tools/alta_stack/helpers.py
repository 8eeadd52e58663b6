"""Processes that stand in for what is outside of a deployment: the mail server, and Google's engines."""

import os
import sys
from dataclasses import dataclass

_MOST_WORKERS = 2


@dataclass(frozen=True)
class Helper:
    """A process that runs beside the services."""

    name: str
    argv: list[str]
    ready_url: str
    address: str
    """Where a person, or a service, finds it."""


def mail_catcher(smtp_port: int, http_port: int) -> Helper:
    """Return what takes the services' mail and shows it."""
    url = f"http://127.0.0.1:{http_port}"
    argv = [sys.executable, "-m", "alta_stack.mail", "--smtp-port", str(smtp_port), "--http-port", str(http_port)]
    return Helper("mail", argv, f"{url}/readyz", url)


def google_engines(port: int, internal_port: int, gcs_endpoint: str) -> Helper:
    """Return what answers for Document AI and Speech-to-Text."""
    workers = min(_MOST_WORKERS, len(os.sched_getaffinity(0)))
    argv = [sys.executable, "-m", "alta_emulators", "--port", str(port), "--internal-port", str(internal_port)]
    argv += ["--workers", str(workers), "--gcs-endpoint", gcs_endpoint]
    ready_url = f"http://127.0.0.1:{internal_port}/health/ready"
    return Helper("google-engines", argv, ready_url, f"127.0.0.1:{port}")
