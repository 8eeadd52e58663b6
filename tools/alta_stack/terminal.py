"""What the commands print: plain lines in a pipe or a log, colours and a line that changes on a terminal."""

import shutil
import sys
from datetime import timedelta

from alta_stack.settings import environment


def is_terminal() -> bool:
    """Say whether a person looks on."""
    return sys.stdout.isatty() and environment().get("TERM") != "dumb"


def coloured(code: str, text: str) -> str:
    """Return text in an ANSI colour where somebody looks on and wants colours."""
    return f"\033[{code}m{text}\033[0m" if is_terminal() and "NO_COLOR" not in environment() else text


def bold(text: str) -> str:
    """Return a heading."""
    return coloured("1", text)


def dim(text: str) -> str:
    """Return something that matters less."""
    return coloured("2", text)


def green(text: str) -> str:
    """Return good news."""
    return coloured("32", text)


def red(text: str) -> str:
    """Return bad news."""
    return coloured("31", text)


def cyan(text: str) -> str:
    """Return something to go to."""
    return coloured("36", text)


def seconds(value: float | timedelta) -> str:
    """Return a duration as people say it."""
    number = value.total_seconds() if isinstance(value, timedelta) else value
    return f"{number:.1f} s" if number < 100 else f"{number / 60:.0f} min"


def megabytes(value: int) -> str:
    """Return an amount of memory."""
    return f"{value / 2**20:,.0f} MB" if value < 2**30 else f"{value / 2**30:.1f} GB"


class Line:
    """One line that says how far something is; where nobody looks on, only what is final."""

    def __init__(self) -> None:
        self._shown = False

    def now(self, text: str) -> None:
        """Show what is being done, in place of what was shown before."""
        if is_terminal():
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write(f"\r\033[K{text[:width]}")
            sys.stdout.flush()
            self._shown = True

    def done(self, text: str) -> None:
        """Leave a line for good."""
        self.clear()
        print(text, flush=True)

    def clear(self) -> None:
        """Take the changing line away."""
        if self._shown:
            sys.stdout.write("\r\033[K")
            self._shown = False
