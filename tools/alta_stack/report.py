"""How the supervisor, which runs detached, tells the command that started it how far it is: JSON lines in a pipe."""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from typing import IO, Any


class Report:
    """The supervisor's end. Nobody may be listening any more, which is no reason to stop."""

    def __init__(self, descriptor: int | None) -> None:
        self._pipe = None if descriptor is None else os.fdopen(descriptor, "w", encoding="utf-8")

    def began(self, text: str) -> None:
        """Say what is being done now."""
        self._send({"began": text})

    def done(self, text: str, seconds: float) -> None:
        """Say what is done."""
        self._send({"done": text, "seconds": seconds})

    def failed(self, message: str) -> None:
        """Say why the stack does not start."""
        self._send({"failed": message})
        self.close()

    def ready(self) -> None:
        """Say that everything runs."""
        self._send({"ready": True})
        self.close()

    def close(self) -> None:
        """Let the listener go."""
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                self._pipe.close()
        self._pipe = None

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Report a piece of work with its time."""
        started = time.monotonic()
        self.began(text)
        yield
        self.done(text, time.monotonic() - started)

    def _send(self, message: dict[str, Any]) -> None:
        print(" ".join(f"{key}: {value}" for key, value in message.items()), flush=True)
        if self._pipe is None:
            return
        try:
            self._pipe.write(json.dumps(message) + "\n")
            self._pipe.flush()
        except OSError:
            self._pipe = None


def messages(pipe: IO[str]) -> Iterator[dict[str, Any]]:
    """Yield what the supervisor reports until it lets go of the pipe or ends."""
    for line in pipe:
        message: dict[str, Any] = json.loads(line)
        yield message
