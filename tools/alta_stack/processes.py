"""Processes of the local stack: free ports, starting, stopping, and ending what an earlier run left behind."""

import asyncio
import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import psutil

from alta_stack.settings import plain_environment

# Below the range that the kernel hands out to outgoing connections, so that a port stays free until it is bound.
_PORTS = range(20000, 32000)


class StackError(Exception):
    """Something the user has to know about; the message says what, and what to do."""


# Bound and never listened on, for as long as this process lives.
_reserved: list[socket.socket] = []


def free_ports(count: int) -> list[int]:
    """Return `count` loopback ports that nobody else gets from here while this process lives.

    Linux lets a server listen on a port that another socket only holds when both set SO_REUSEADDR, as servers do; the
    probe does not set it, so that it sees what other stacks hold for servers that they have yet to start.
    """
    found: list[int] = []
    for port in random.sample(_PORTS, k=len(_PORTS)):
        if len(found) == count:
            return found
        if _reserve(port):
            found.append(port)
    raise StackError(f"no {count} free ports between {_PORTS.start} and {_PORTS.stop} on 127.0.0.1")


def _reserve(port: int) -> bool:
    holder = socket.socket()
    try:
        holder.bind(("127.0.0.1", port))
    except OSError:
        holder.close()
        return False
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _reserved.append(holder)
    return True


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether a server could listen on `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def find_program(name: str, *folders: str, package: str) -> str:
    """Return the path of a program. Raises `StackError` naming the Debian package that carries it."""
    for folder in folders:
        if os.access(f"{folder}/{name}", os.X_OK):
            return f"{folder}/{name}"
    found = shutil.which(name, path=plain_environment()["PATH"])
    if found is None:
        raise StackError(f"{name} is not installed. On Debian or Ubuntu: sudo apt-get install {package}")
    return found


def spawn(
    argv: list[str],
    *,
    cwd: Path,
    env: dict[str, str],
    log: Path,
    death_signal: str = "TERM",
    account: pwd.struct_passwd | None = None,
) -> subprocess.Popen[bytes]:
    """Start a server that ends with this thread, appending what it prints to `log`.

    Call it from the main thread: the kernel sends `death_signal` when the thread that started the process ends, which
    is what keeps a killed supervisor or test run from leaving servers behind.
    """
    wrapper = [find_program("setpriv", package="util-linux"), "--pdeathsig", death_signal]
    if account is not None:
        wrapper += ["--reuid", str(account.pw_uid), "--regid", str(account.pw_gid), "--clear-groups"]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*wrapper, "--", *argv],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C belongs to the supervisor, which then stops its processes in order.
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes], first: signal.Signals, within: timedelta) -> None:
    """Ask a process to end, and kill it with its whole session when it has not after `within`."""
    if process.poll() is None:
        process.send_signal(first)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(within.total_seconds())
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


async def until_ended(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process to end, without a thread and without asking again and again."""
    if process.poll() is not None:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    # Readable when the process has ended (pidfd_open(2)).
    descriptor = os.pidfd_open(process.pid)
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    process.wait()


class Starting:
    """A server that has been started and does not answer yet."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, log: Path, within: timedelta) -> None:
        self._process = process
        self._name = name
        self._log = log
        self._within = within
        self._deadline = time.monotonic() + within.total_seconds()

    def check(self) -> None:
        """Raise `StackError` with the end of its log when it has ended or takes too long."""
        if self._process.poll() is not None:
            status = self._process.returncode
            raise StackError(f"{self._name} ended with status {status} while starting.\n{last_lines(self._log)}")
        if time.monotonic() > self._deadline:
            seconds = self._within.total_seconds()
            raise StackError(f"{self._name} did not answer within {seconds:.0f} s.\n{last_lines(self._log)}")


def last_lines(log: Path, count: int = 15) -> str:
    """Return the end of a log with its path above it."""
    if not log.exists():
        return f"  ({log} was not written)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join([f"  --- end of {log}", *(f"  {line}" for line in lines[-count:])])


def end_leftovers(folder: Path, names: frozenset[str]) -> list[int]:
    """Kill servers that an earlier run left in `folder` and return their pids.

    A server is ours when its name is one of `names` and it works inside `folder`: pids in files can be stale or
    reused, a working directory cannot.
    """
    ours = [process for process in psutil.process_iter(["name"]) if _is_leftover(process, folder, names)]
    for process in ours:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(ours, timeout=10)
    return [process.pid for process in ours]


def _is_leftover(process: psutil.Process, folder: Path, names: frozenset[str]) -> bool:
    if process.info["name"] not in names:
        return False
    try:
        return Path(process.cwd()).is_relative_to(folder)
    except (psutil.Error, OSError):
        return False


def end_marked(variable: str, value: str) -> list[int]:
    """Kill processes that were started with an environment variable of this value, and return their pids."""
    ours = [process for process in psutil.process_iter() if _environment(process).get(variable) == value]
    for process in ours:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(ours, timeout=10)
    return [process.pid for process in ours]


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def memory_bytes(pid: int) -> int:
    """Return the memory of a process and its children, shared pages counted once; 0 when it is gone."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    return sum(_memory_of(member) for member in family)


def _memory_of(process: psutil.Process) -> int:
    # PostgreSQL's processes share most of what each of them maps, so their resident sizes would count it many times.
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:  # another account's
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
