"""`down` and `reset`: stop the stack, and delete its data."""

import contextlib
import os
import shutil
import signal
import time

import psutil

from alta_stack import terminal
from alta_stack.infra import delete_data
from alta_stack.processes import StackError, memory_bytes
from alta_stack.settings import CHECKOUT, Home
from alta_stack.stack_file import supervisor_pid

# The services' time to finish, then the servers'.
_PATIENCE_SECONDS = 120.0


def down(home: Home) -> None:
    """Stop everything in order and keep the data. Does nothing when nothing runs."""
    pid = supervisor_pid(home)
    if pid is None:
        print("The stack does not run.")
        return
    started, memory = time.monotonic(), memory_bytes(pid)
    print(terminal.bold(f"Stopping Alta Data in {home.folder}"), flush=True)
    _end(pid)
    took = terminal.seconds(time.monotonic() - started)
    print(f"{terminal.green('Stopped')} in {took}; {terminal.megabytes(memory)} of memory are free again.")
    print("The data is kept; make up brings it back, make reset deletes it.")


def reset(home: Home) -> None:
    """Stop everything and delete its data, keys, passwords and logs."""
    if supervisor_pid(home) is not None:
        down(home)
    kept = CHECKOUT / ".alta" / "bootstrap.lock"
    delete_data(home.servers)
    for path in sorted(home.folder.iterdir()) if home.folder.exists() else []:
        if path == kept:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    with contextlib.suppress(OSError):  # the checkout's own keeps the lock of bootstrap.sh
        home.folder.rmdir()
    print(f"Deleted all data in {home.folder}. make up starts clean.")
    emulated = home.in_cloud("emulated")
    if emulated.folder != home.folder and emulated.folder.exists():
        print(f"The emulated cloud's data stays in {emulated.folder}; make reset CLOUD=emulated deletes it.")


def _end(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        supervisor = psutil.Process(pid)
        family = supervisor.children(recursive=True)
        os.kill(pid, signal.SIGTERM)
        _, alive = psutil.wait_procs([supervisor], timeout=_PATIENCE_SECONDS)
        if alive:
            # Its children have asked the kernel to be ended with it.
            supervisor.kill()
        _, left = psutil.wait_procs(family, timeout=10)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if left:
            names = ", ".join(f"process {process.pid}" for process in left)
            raise StackError(f"these did not stop and were killed: {names}")
