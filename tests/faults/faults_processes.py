"""Processes of the system as operators start them, and what can happen to a process."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from random import Random

import psutil

from alta_common.testing import eventually
from alta_stack.processes import last_lines, spawn

_STOP_SECONDS = 120


class ServiceProcess:
    """A process that ends with the tests, however they end; what it prints goes to a file."""

    def __init__(self, name: str, arguments: list[str], environment: dict[str, str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.frozen = False
        folder.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, *arguments]
        self._process = spawn(argv, cwd=folder, env=environment, log=self.log, death_signal="KILL")

    @property
    def lives(self) -> bool:
        """Say whether it has not ended."""
        return self._process.poll() is None

    def said(self, event: str) -> bool:
        """Say whether it has logged `event`."""
        return f'"{event}"' in self.log.read_text(encoding="utf-8")

    def kill(self) -> None:
        """End it as a power cut does."""
        # The process alone is ours to kill; as leader of its session it has no other in it.
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def freeze(self) -> None:
        """Stop its time; its connections stay."""
        self._process.send_signal(signal.SIGSTOP)
        self.frozen = True

    def wake(self) -> None:
        """Let its time go on."""
        self._process.send_signal(signal.SIGCONT)
        self.frozen = False

    async def stop(self) -> None:
        """Stop it as an operator does; it has to end cleanly."""
        # Before it has begun, the signal would find a Python that is still importing.
        await eventually(lambda: self.said("internal.listening"), 180)
        self._process.send_signal(signal.SIGTERM)
        try:
            status = await asyncio.to_thread(self._process.wait, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not stop on SIGTERM\n{last_lines(self.log)}") from None
        assert status == 0, f"{self.name} ended with status {status}\n{last_lines(self.log)}"

    def ports(self) -> list[int]:
        """Return the local ports of its connections: the `client_port` of its database sessions."""
        return [one.laddr.port for one in psutil.Process(self._process.pid).net_connections("tcp") if one.laddr]


class Fleet:
    """The relays of a scenario, or its consumers: processes that are all the same."""

    def __init__(self, name: str, arguments: list[str], environment: dict[str, str], folder: Path, rng: Random) -> None:
        self._name = name
        self._arguments = arguments
        self._environment = environment
        self._folder = folder
        self._rng = rng
        self._started = 0
        self.processes: list[ServiceProcess] = []

    @property
    def size(self) -> int:
        """Return how many there are; a frozen one counts."""
        return len(self.processes)

    def any(self) -> ServiceProcess:
        """Return one that is not frozen."""
        return self._rng.choice([process for process in self.processes if not process.frozen])

    def start(self) -> ServiceProcess:
        """Start one more."""
        self._started += 1
        name = f"{self._name}-{self._started}"
        process = ServiceProcess(name, self._arguments, self._environment, self._folder)
        self.processes.append(process)
        return process

    def kill(self, process: ServiceProcess) -> None:
        """Kill one."""
        process.kill()
        self.processes.remove(process)

    async def stop(self, process: ServiceProcess) -> None:
        """Stop one as an operator does."""
        self.processes.remove(process)
        try:
            await process.stop()
        except BaseException:
            process.kill()
            raise

    async def stop_all(self) -> None:
        """Stop all."""
        for process in list(self.processes):
            await self.stop(process)

    def kill_all(self) -> None:
        """Kill what is left, frozen ones too."""
        for process in list(self.processes):
            self.kill(process)

    def times_said(self, event: str) -> int:
        """Return how often `event` was logged, also by those that are gone."""
        logs = self._folder.glob(f"{self._name}-*.log")
        return sum(log.read_text(encoding="utf-8").count(f'"{event}"') for log in logs)

    def check(self) -> None:
        """Fail when one has ended by itself."""
        for process in self.processes:
            assert process.lives, f"{process.name} ended by itself\n{last_lines(process.log)}"


def process_environment(database: dict[str, str], rabbitmq_url: str, **settings: str) -> dict[str, str]:
    """Return the environment of a process: nothing of the caller's settings but PATH."""
    return {
        **database,
        "PATH": os.environ["PATH"],
        "RABBITMQ_URL": rabbitmq_url,
        "INTERNAL_PORT": "0",
        "PYTHONUNBUFFERED": "1",
        **settings,
    }
