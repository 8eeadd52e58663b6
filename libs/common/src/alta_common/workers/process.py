"""One worker process as its parent sees it: started, given one job at a time, ended."""

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from alta_common.workers.errors import WorkerCrashedError, WorkerMemoryError, WorkerTimeoutError
from alta_common.workers.wire import HEADER, Message, Task, pack, unpack

_STDERR_TAIL_BYTES = 16_000
_LAST_WORDS_BYTES = 2000
# What C++ says when nobody catches a failed allocation, before it aborts.
_OUT_OF_MEMORY = b"std::bad_alloc"


class WorkerProcess:
    """A child process at the other end of a socket pair. Make one with `start_worker`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        stderr: int,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._stderr = stderr
        self.units = 0
        self.is_busy = False

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Say whether the process runs and can be given a job."""
        return self._process.returncode is None and not self._reader.at_eof()

    async def perform(
        self, task: Task, *, seconds: float, step_seconds: float, on_progress: Callable[[Any], None]
    ) -> Any:
        """Return the task's result, or raise its exception.

        Raises `WorkerTimeoutError` after `seconds` in all or `step_seconds` without a progress report, and
        `WorkerCrashedError` when the process ends. After either, or when cancelled, `end` the worker.
        """
        os.ftruncate(self._stderr, 0)
        self.is_busy = True
        deadline = asyncio.get_running_loop().time() + seconds
        await self._send(task)
        while True:
            message = await self._receive(deadline, step_seconds)
            if message.kind == "progress":
                on_progress(message.value)
                continue
            self.is_busy = False
            self.units += message.units
            if message.kind == "error":
                raise message.value
            return message.value

    async def end(self) -> None:
        """End the process, whatever it does; return when it is gone."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._writer.close()
        if self._stderr >= 0:
            os.close(self._stderr)
            self._stderr = -1

    async def _send(self, task: Task) -> None:
        try:
            self._writer.write(pack(task))
            await self._writer.drain()
        except ConnectionError:
            raise await self._crash() from None

    async def _receive(self, deadline: float, step_seconds: float) -> Message:
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(deadline, now + step_seconds)):
                (length,) = HEADER.unpack(await self._reader.readexactly(HEADER.size))
                message: Message = unpack(await self._reader.readexactly(length))
        except TimeoutError:
            limit = "its time limit" if now + step_seconds >= deadline else f"{step_seconds:.0f} s without progress"
            raise WorkerTimeoutError(f"The job was stopped after {limit}.") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise await self._crash() from None
        return message

    async def _crash(self) -> WorkerCrashedError:
        """Return how the process ended, with its last words."""
        code = await self._process.wait()
        size = os.fstat(self._stderr).st_size
        tail = os.pread(self._stderr, _STDERR_TAIL_BYTES, max(0, size - _STDERR_TAIL_BYTES))
        if _OUT_OF_MEMORY in tail:
            return WorkerMemoryError("The job needed more memory than a worker may use.")
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return WorkerCrashedError(
            f"Worker {self.pid} ended with {how}. {tail.decode(errors='replace').strip()}".strip()
        )


async def start_worker(name: str, memory_bytes: int) -> WorkerProcess:
    """Start a worker process whose address space may grow to `memory_bytes` (0: without a limit)."""
    with ExitStack() as opened:
        ours, theirs = socket.socketpair()
        opened.callback(ours.close)
        ours.setblocking(False)
        with theirs:
            # Native libraries write warnings to stderr whenever they like; only a crash makes them worth reading.
            stderr, path = tempfile.mkstemp(prefix="alta-worker-")
            opened.callback(os.close, stderr)
            os.unlink(path)  # noqa: PTH108  # nobody needs its name
            os.set_blocking(stderr, True)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-X", "faulthandler", "-m", "alta_common.workers.child"),
                *(str(theirs.fileno()), str(memory_bytes), name),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=stderr,
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        # The worker's own from here on: closed when it ends.
        opened.pop_all()
    return WorkerProcess(process, reader, writer, stderr)
