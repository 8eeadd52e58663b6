"""One process that the supervisor keeps running."""

import asyncio
import signal
import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from alta_common.clock import utc_now
from alta_stack.processes import StackError, last_lines, spawn, stop, until_ended
from alta_stack.settings import CHECKOUT

_POLL_SECONDS = 0.1
# A process that lived this long is taken to have been well; its next end is not a crash loop.
_WELL_AFTER = timedelta(seconds=60)
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class Running:
    """A process, how to start it again, and how often that was needed."""

    def __init__(self, name: str, argv: list[str], env: dict[str, str], log: Path, ready_url: str) -> None:
        self.name = name
        self.restarts = 0
        self.last_exit = ""
        self.started_at: datetime = utc_now()
        self._argv = argv
        self._env = env
        self._log = log
        self._ready_url = ready_url
        self._pause = _FIRST_PAUSE
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id; 0 before the first start."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start it; call from the main thread."""
        self.started_at = utc_now()
        self._process = spawn(self._argv, cwd=CHECKOUT, env=self._env, log=self._log)

    async def until_ready(self, within: timedelta) -> float:
        """Wait until it is ready and return the seconds. Raises `StackError` when it ends or takes too long."""
        started, said = time.monotonic(), "nothing"
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            while time.monotonic() - started < within.total_seconds():
                if self._process is None or self._process.poll() is not None:
                    raise StackError(f"{self.name} {self._how_it_ended()} while starting.\n{last_lines(self._log)}")
                try:
                    answer = await client.get(self._ready_url)
                except httpx.HTTPError as error:
                    said = repr(error)
                else:
                    if answer.is_success:
                        return time.monotonic() - started
                    said = f"{answer.status_code} {answer.text}"
                await asyncio.sleep(_POLL_SECONDS)
        raise StackError(
            f"{self.name} is not ready after {within.total_seconds():.0f} s; {self._ready_url} says {said}\n"
            f"{last_lines(self._log)}"
        )

    async def until_ended(self) -> str:
        """Wait until it has ended and return how."""
        if self._process is not None:
            await until_ended(self._process)
        self.last_exit = self._how_it_ended()
        return self.last_exit

    async def start_again(self) -> None:
        """Start it after a pause that grows while it keeps ending early."""
        if utc_now() - self.started_at > _WELL_AFTER:
            self._pause = _FIRST_PAUSE
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self.restarts += 1
        self.start()

    async def stop(self, within: timedelta) -> None:
        """Ask it to end, and kill it when it has not."""
        if self._process is not None:
            await asyncio.to_thread(stop, self._process, signal.SIGTERM, within)

    def log_end(self) -> str:
        """Return the end of its log."""
        return last_lines(self._log)

    def _how_it_ended(self) -> str:
        status = self._process.returncode if self._process is not None else None
        if status is not None and status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"ended with status {status}"
