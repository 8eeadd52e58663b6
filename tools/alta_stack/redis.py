"""A private Redis server in a folder."""

import signal
import socket
import subprocess
from datetime import timedelta
from pathlib import Path

from alta_stack.processes import StackError, Starting, end_leftovers, find_program, free_ports, spawn, stop
from alta_stack.settings import plain_environment


class RedisServer:
    """One server that keeps nothing on disk: limits, revocations and caches live for minutes."""

    name = "redis"

    def __init__(self, folder: Path, password: str) -> None:
        self._program = find_program("redis-server", package="redis-server")
        self._password = password
        self._folder = folder / "redis"
        self.log = folder / "redis.log"
        (self.port,) = free_ports(1)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The server's URL, password included."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def launch(self) -> None:
        """Start the server."""
        end_leftovers(self._folder, frozenset({"redis-server"}))
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "redis.conf"
        # In a file, not in the arguments: every user of the machine may read those.
        config.touch(mode=0o600)
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self._password}",
            f'dir "{self._folder}"',
            'save ""',
            "appendonly no",
            "databases 64",
            "loglevel notice",
        ]
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.process = spawn([self._program, str(config)], cwd=self._folder, env=plain_environment(), log=self.log)

    def starting(self) -> Starting:
        """Return what watches its start."""
        if self.process is None:
            raise StackError("Redis was not launched")
        return Starting(self.process, "Redis", self.log, timedelta(seconds=60))

    def stop(self) -> None:
        """Stop the server."""
        if self.process is not None:
            stop(self.process, signal.SIGTERM, timedelta(seconds=5))

    kill = stop

    def answers(self) -> bool:
        """Say whether it answers to its password."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                answers = connection.makefile("rb")
                return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return False
