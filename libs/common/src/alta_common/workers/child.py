"""The worker process: takes one job after another from its socket until the parent closes it.

Started by `alta_common.workers.process` as `python -m alta_common.workers.child FD MEMORY_BYTES NAME`, never by
`multiprocessing`, which would import the service's whole `__main__` into every worker.
"""

import importlib
import os
import pickle
import queue
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from alta_common.workers.errors import WorkerFailedError
from alta_common.workers.wire import HEADER, Message, Task, pack, unpack


class Reporter:
    """What a job tells while it runs. Every report is a sign of life: it restarts the no-progress limit."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self.units = 0

    def __call__(self, progress: object) -> None:
        """Send `progress` (picklable) to whoever waits for the job."""
        self._send(Message("progress", progress))

    def count(self, units: int) -> None:
        """Count work done towards the worker's recycling; a job that counts nothing counts as one."""
        self.units += units


def main(arguments: list[str]) -> None:
    """Serve the socket whose descriptor is the first argument until the other end closes it."""
    descriptor, memory_bytes = int(arguments[0]), int(arguments[1])
    _limit(memory_bytes)
    connection = socket.socket(fileno=descriptor)
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, tasks), daemon=True).start()
    sending = threading.Lock()

    def send(message: Message) -> None:
        frame = pack(message)
        with sending:
            connection.sendall(frame)

    while True:
        task = tasks.get()
        send(_perform(task, send))


def _limit(memory_bytes: int) -> None:
    # The parent ends its workers; a signal to the whole process group must not end them in the middle of a drain.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        # One thread a worker: more only fight each other. Native libraries read this when they load.
        os.putenv(library, "1")
    with suppress(OSError):
        # When memory is short, the kernel should take a worker, whose job is repeated, not the service.
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def _listen(connection: socket.socket, tasks: "queue.SimpleQueue[Task]") -> None:
    """Hand over what arrives; end the process, whatever it does, when the parent is gone."""
    try:
        while True:
            (length,) = HEADER.unpack(_receive(connection, HEADER.size))
            tasks.put(unpack(_receive(connection, length)))
    finally:
        os._exit(0)


def _receive(connection: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(length - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _perform(task: Task, send: Callable[[Message], None]) -> Message:
    reporter = Reporter(send)
    try:
        module, _, name = task.function.partition(":")
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return Message("result", function(reporter, **task.kwargs), max(reporter.units, 1))
    except Exception as error:  # noqa: BLE001  # every failure of a job belongs to whoever asked for it
        return Message("error", _portable(error), max(reporter.units, 1))


def _portable(error: Exception) -> Exception:
    story = "".join(traceback.format_exception(error))
    try:
        copied = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes, to see whether they come back
    except Exception:  # noqa: BLE001  # an exception may fail to pickle in any way
        return WorkerFailedError(story)
    if not isinstance(copied, Exception):
        return WorkerFailedError(story)
    copied.add_note("In the worker process:\n" + story)
    return copied


if __name__ == "__main__":
    main(sys.argv[1:])
