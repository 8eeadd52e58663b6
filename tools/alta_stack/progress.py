"""How far a batch of files is: a block of bars on a terminal, a line a change elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from alta_stack import terminal
from alta_stack.client import Item

_BAR = 24
_UNITS = {"page": "pages", "second": "s"}


class Progress:
    """Shows items and, while they change, shows them again."""

    def __init__(self, items: list[Item]) -> None:
        self._started = time.monotonic()
        self._seen: dict[str, str] = {}
        self._ended: dict[str, float] = {}
        self._height = 0
        self._width = max(len(item.filename) for item in items)
        self._items = items

    @property
    def seconds(self) -> dict[str, float]:
        """When each item ended, by its id, in seconds since the first look."""
        return dict(self._ended)

    def __enter__(self) -> Self:
        self.show(self._items)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What was drawn last stays.
        self._height = 0

    def show(self, items: list[Item]) -> None:
        """Show the items as they are now."""
        self._items = items
        for item in items:
            if item.has_ended:
                self._ended.setdefault(item.id, time.monotonic() - self._started)
        if terminal.is_terminal():
            self._draw()
        else:
            self._print_changes()

    def _draw(self) -> None:
        if self._height:
            sys.stdout.write(f"\033[{self._height}A")
        for item in self._items:
            sys.stdout.write(f"\033[K  {self._line(item)}\n")
        sys.stdout.flush()
        self._height = len(self._items)

    def _print_changes(self) -> None:
        for item in self._items:
            line = f"{item.status} {_done_of(item)}".strip()
            if self._seen.get(item.id) != line:
                self._seen[item.id] = line
                at = time.monotonic() - self._started
                print(f"  {at:6.1f} s  {item.filename:<{self._width}}  {line}", flush=True)

    def _line(self, item: Item) -> str:
        progress = item.data.get("progress") or {}
        done, total = progress.get("done") or 0, progress.get("total") or 0
        share = 1.0 if item.has_ended else (done / total if total else 0.0)
        filled = round(share * _BAR)
        bar = "━" * filled + terminal.dim("─" * (_BAR - filled))
        at = self._ended.get(item.id, time.monotonic() - self._started)
        colour = {"completed": terminal.green, "failed": terminal.red}.get(item.status, terminal.cyan)
        return f"{item.filename:<{self._width}}  {bar}  {at:5.1f} s  {colour(item.status)} {_done_of(item)}"


def _done_of(item: Item) -> str:
    progress = item.data.get("progress") or {}
    if not progress.get("total") or item.has_ended:
        return ""
    done, total = progress.get("done") or 0, progress["total"]
    return f"{done} of {total} {_UNITS.get(progress.get('unit') or '', '')}"
