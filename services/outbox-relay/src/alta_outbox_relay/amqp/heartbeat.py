"""Heartbeats both ways: we are heard at least once in an interval, and after two silent ones the peer is gone."""

import asyncio
from collections.abc import Callable

_BEATS_PER_INTERVAL = 2
_SILENT_BEATS = 2 * _BEATS_PER_INTERVAL


class Heartbeat:
    """Beats twice in each interval. Whoever owns it says when something was `heard` and `said`."""

    def __init__(self, beat: Callable[[], None], silent: Callable[[float], None]) -> None:
        self.heard = True
        self.said = True
        self._beat = beat
        self._silent = silent
        self._missed = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self, interval: float) -> None:
        """Call `beat` when nothing was said for half an interval, `silent` when nothing was heard for two."""
        if interval:
            self._wait(interval / _BEATS_PER_INTERVAL)

    def stop(self) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._on_time, seconds)

    def _on_time(self, seconds: float) -> None:
        # Beats are counted and not seconds: after a pause of this process what the peer said meanwhile is still unread.
        self._missed = 0 if self.heard else self._missed + 1
        if self._missed >= _SILENT_BEATS:
            self._silent(_SILENT_BEATS * seconds)
            return
        self._wait(seconds)
        if not self.said:
            self._beat()
        self.heard = self.said = False
