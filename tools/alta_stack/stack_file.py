"""`stack.json`: where a running stack is, for other tools and for our own commands."""

import contextlib
import fcntl
import json
import os
import time
from pathlib import Path
from typing import IO, Any, NotRequired, TypedDict

from alta_stack.processes import StackError
from alta_stack.settings import Home, cloud, local_home


class ServiceState(TypedDict):
    """One process of the stack."""

    pid: int
    internal_url: str
    url: NotRequired[str]
    restarts: NotRequired[int]
    started_at: NotRequired[str]
    last_exit: NotRequired[str]


class Stack(TypedDict):
    """What `stack.json` says. An address is empty when the stack does not run that server itself."""

    cloud: str
    gateway: str
    mail: str
    smtp: str
    rabbitmq_management: str
    amqp_url: str
    redis_url: str
    postgres_dsn: str
    gcs_endpoint: str
    google_engines: str
    supervisor_pid: int
    servers: dict[str, int]
    services: dict[str, ServiceState]


def home() -> Home:
    """Return the folder of the stack that a command is about.

    It is the one that CLOUD names; without CLOUD the one that runs, and the local one where none does, or both do.
    Raises `StackError`.
    """
    try:
        named = cloud()
    except ValueError as error:
        raise StackError(str(error)) from None
    if named is not None:
        return local_home().in_cloud(named)
    emulated = local_home().in_cloud("emulated")
    only_emulated_runs = supervisor_pid(local_home()) is None and supervisor_pid(emulated) is not None
    return emulated if only_emulated_runs else local_home()


def write_stack(path: Path, stack: Stack) -> None:
    """Write `stack.json` at once; it has passwords in it, so only its owner may read it."""
    temporary = path.with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(stack, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def find_stack(home: Home) -> Stack | None:
    """Return the running stack, or `None` when there is none or it is still starting."""
    if supervisor_pid(home) is None or not home.stack_file.exists():
        return None
    content: Any = json.loads(home.stack_file.read_text(encoding="utf-8"))
    stack: Stack = content
    return stack


def get_stack(home: Home) -> Stack:
    """Return the running stack. Raises `StackError` when there is none."""
    stack = find_stack(home)
    if stack is None:
        raise StackError("the stack does not run; `make up` starts it")
    return stack


def supervisor_pid(home: Home) -> int | None:
    """Return the pid of the supervisor that holds the lock of this home, or `None`."""
    try:
        with home.lock_file.open("r", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0)
    except FileNotFoundError:
        return None
    return None


def hold_lock(home: Home) -> IO[str]:
    """Take the lock of this home. Raises `StackError` when another supervisor has it."""
    home.folder.mkdir(parents=True, exist_ok=True)
    file = home.lock_file.open("a+", encoding="utf-8")
    # Whoever looks whether a stack runs holds the lock for an instant, so one refusal is no answer yet.
    for _ in range(10):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            return file
        time.sleep(0.05)
    file.close()
    raise StackError(f"a stack already runs in {home.folder}")
