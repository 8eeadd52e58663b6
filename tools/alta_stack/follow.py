"""`logs`: follow what all processes print."""

import json
import os
import time
from pathlib import Path
from typing import Any

from alta_stack import terminal
from alta_stack.processes import StackError
from alta_stack.services import SERVICES
from alta_stack.settings import Home

_POLL_SECONDS = 0.3
_FIRST_LINES = 10
_COLOURS = ("36", "33", "35", "32", "34", "31", "96", "93", "95", "92")
_HIDDEN = frozenset({"timestamp", "level", "event", "service", "logger"})


def follow(home: Home, name: str | None, *, forever: bool = True) -> None:
    """Print the end of every log, then what is added, until Ctrl-C. Raises `StackError` for an unknown name."""
    helpers = ["mail", "supervisor"] if home.cloud == "local" else ["google-engines", "mail", "supervisor"]
    names = [service.name for service in SERVICES] + helpers
    if name is not None and name not in names:
        raise StackError(f"there is no log of {name}; there are {', '.join(names)}")
    logs = [_Log(each, home.log(each), _COLOURS[number % len(_COLOURS)]) for number, each in enumerate(names)]
    chosen = [log for log in logs if name in {None, log.name}]
    if not any(log.path.exists() for log in chosen):
        raise StackError(f"there are no logs in {home.log('x').parent} yet; make up starts the stack")
    for log in chosen:
        log.show_end()
    while forever:
        if not sum(log.show_new() for log in chosen):
            time.sleep(_POLL_SECONDS)


class _Log:
    def __init__(self, name: str, path: Path, colour: str) -> None:
        self.name = name
        self.path = path
        self._prefix = terminal.coloured(colour, f"{name:<16}")
        self._position = 0
        self._inode = 0
        self._rest = b""

    def show_end(self) -> None:
        """Print the last lines."""
        for line in self._read()[-_FIRST_LINES:]:
            self._print(line)

    def show_new(self) -> int:
        """Print what was added and return how many lines."""
        lines = self._read()
        for line in lines:
            self._print(line)
        return len(lines)

    def _read(self) -> list[bytes]:
        try:
            with self.path.open("rb") as file:
                state = os.fstat(file.fileno())
                # A new start writes a new file.
                if state.st_ino != self._inode or state.st_size < self._position:
                    self._position, self._inode, self._rest = 0, state.st_ino, b""
                file.seek(self._position)
                added = file.read()
        except FileNotFoundError:
            return []
        self._position += len(added)
        *lines, self._rest = (self._rest + added).split(b"\n")
        return lines

    def _print(self, line: bytes) -> None:
        print(f"{self._prefix} {readable(line.decode(errors='replace'))}", flush=True)


def readable(line: str) -> str:
    """Return a JSON log line as a person reads it; other lines as they are."""
    if not line.startswith("{"):
        return line
    try:
        fields: dict[str, Any] = json.loads(line)
    except ValueError:
        return line
    if "event" not in fields:
        return line
    at = str(fields.get("timestamp", ""))[11:23]
    level = str(fields.get("level", "")).upper()
    shown = f"{level:<7} {fields['event']}"
    if level in {"ERROR", "CRITICAL"}:
        shown = terminal.red(shown)
    rest = " ".join(f"{key}={value}" for key, value in fields.items() if key not in _HIDDEN)
    return f"{at} {shown}  {terminal.dim(rest)}"
