"""A whole stack, started for the journey tests beside any that a developer has running."""

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alta_stack.settings import CHECKOUT

SAMPLES = CHECKOUT / "samples"


@dataclass(frozen=True)
class Stack:
    """A running stack as `.alta/stack.json` describes it; services that are restarted change their pid there."""

    file: Path

    def read(self) -> dict[str, Any]:
        """Return what the file says now."""
        stack: dict[str, Any] = json.loads(self.file.read_text())
        return stack

    @property
    def gateway(self) -> str:
        """Return the gateway's address."""
        return str(self.read()["gateway"])

    @property
    def mail(self) -> str:
        """Return the mail catcher's address."""
        return str(self.read()["mail"])

    def pid(self, service: str) -> int:
        """Return the process id that a service has now."""
        return int(self.read()["services"][service]["pid"])

    def kill(self, service: str) -> int:
        """End a service as a power cut would, and return the pid it had."""
        pid = self.pid(service)
        os.kill(pid, signal.SIGKILL)
        return pid

    def resident_bytes(self, service: str) -> int:
        """Return the resident memory of a service's process now."""
        status = Path(f"/proc/{self.pid(service)}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024
