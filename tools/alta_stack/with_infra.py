"""`with-infra -- COMMAND`: run a command with servers of its own, which are gone afterwards."""

import fcntl
import os
import signal
import subprocess
import time
from pathlib import Path

from alta_stack import terminal
from alta_stack.infra import delete_data, start_infra
from alta_stack.settings import Home, environment

_PREFIX = "test-"


def with_infra(home: Home, command: list[str]) -> int:
    """Run `command` with ALTA_TEST_… naming fresh servers, but for those already named; return its exit status."""
    given = environment()
    _delete_abandoned(home)
    started = time.monotonic()
    infra = start_infra(
        home.folder / f"{_PREFIX}{os.getpid()}",
        postgres=not given.get("ALTA_TEST_POSTGRES_DSN"),
        redis=not given.get("ALTA_TEST_REDIS_URL"),
        rabbitmq=not given.get("ALTA_TEST_RABBITMQ_URL"),
        durable=False,
    )
    try:
        values = {
            "ALTA_TEST_POSTGRES_DSN": infra.postgres_dsn,
            "ALTA_TEST_REDIS_URL": infra.redis_url,
            "ALTA_TEST_RABBITMQ_URL": infra.amqp_url,
            "ALTA_TEST_RABBITMQ_MANAGEMENT": infra.rabbitmq_management,
        }
        print(
            f"{', '.join(infra.pids) or 'no servers'} started in {terminal.seconds(time.monotonic() - started)}",
            flush=True,
        )
        return _run(command, given | {name: value for name, value in values.items() if value})
    finally:
        infra.discard()


def _run(command: list[str], env: dict[str, str]) -> int:
    process = subprocess.Popen(command, env=env)
    # The command is in our process group: Ctrl-C reaches it by itself, a TERM to us has to be passed on.
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return process.wait()


def _delete_abandoned(home: Home) -> None:
    """Delete what runs that were killed have left behind."""
    for folder in home.folder.glob(f"{_PREFIX}*"):
        if _is_abandoned(folder):
            delete_data(folder)


def _is_abandoned(folder: Path) -> bool:
    try:
        with (folder / "lock").open("r", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False  # being made at this moment
    except BlockingIOError:
        return False
    return True
