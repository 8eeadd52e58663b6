"""PostgreSQL and RabbitMQ of the fault tests' own. They are crashed here, so nobody else may use them."""

import asyncio
import signal
import subprocess
from pathlib import Path

import psutil

from alta_common.testing.postgres import DatabaseMaker, FreshDatabase
from alta_common.testing.rabbitmq import Management
from alta_common.testing.servers import Broker
from alta_stack.infra import start_infra
from alta_stack.postgres import PostgresServer
from alta_stack.processes import find_program
from alta_stack.rabbitmq import RabbitmqServer

_USUAL_WATERMARK = "0.4"
_NO_MEMORY = "0"


class PrivateServers:
    """Two servers in a folder, started when this is made; `discard` ends them. Make it in the main thread.

    PostgreSQL runs with `fsync` off, as in all tests. That is no kinder: a server that is killed has lost what it had
    not written to its files, and what it had written is the kernel's, which only a crash of the machine would lose.
    """

    def __init__(self, folder: Path) -> None:
        self._infra = start_infra(folder, redis=False, durable=False)
        self._postgres = next(one for one in self._infra.servers if isinstance(one, PostgresServer))
        self._broker = next(one for one in self._infra.servers if isinstance(one, RabbitmqServer))
        self._databases = DatabaseMaker(self._infra.postgres_dsn)

    def discard(self) -> None:
        """End the servers and delete their data."""
        self._infra.discard()

    async def new_database(self) -> FreshDatabase:
        """Return a fresh database with roles and empty schemas."""
        return await self._databases.create()

    def management(self) -> Management:
        """Return RabbitMQ's management API; close it."""
        return Management(Broker(self._infra.amqp_url, self._infra.rabbitmq_management))

    async def stop_broker(self) -> None:
        """Stop RabbitMQ as an operator does."""
        await asyncio.to_thread(self._broker.stop)

    async def kill_broker(self) -> None:
        """End RabbitMQ as a power cut does."""
        await asyncio.to_thread(self._broker.kill)

    async def start_broker(self) -> None:
        """Start RabbitMQ on the same data and port; return when it answers."""
        self._broker.launch()
        await _until_it_answers(self._broker)

    async def raise_memory_alarm(self) -> None:
        """Have RabbitMQ believe that it has used up its memory: it blocks whoever publishes."""
        await self._set_watermark(_NO_MEMORY)

    async def clear_memory_alarm(self) -> None:
        """Give it its memory back."""
        await self._set_watermark(_USUAL_WATERMARK)

    async def _set_watermark(self, share: str) -> None:
        # Debian's wrapper in /usr/sbin insists on the account `rabbitmq`; the script behind it does not.
        program = find_program("rabbitmqctl", "/usr/lib/rabbitmq/bin", package="rabbitmq-server")
        await asyncio.to_thread(
            subprocess.run,
            [program, "set_vm_memory_high_watermark", share],
            env=self._broker._environment(),
            check=True,
            capture_output=True,
        )

    async def crash_postgres(self) -> None:
        """Kill every process of PostgreSQL at once; nothing is written any more."""
        assert self._postgres.process is not None
        postmaster = psutil.Process(self._postgres.process.pid)
        # The postmaster first: it would see its children end and begin to recover.
        for process in [postmaster, *postmaster.children(recursive=True)]:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        await asyncio.to_thread(self._postgres.process.wait)

    async def stop_postgres_at_once(self) -> None:
        """Stop PostgreSQL in its immediate mode: it gives up without a checkpoint, and recovers when it starts."""
        await asyncio.to_thread(self._postgres.kill)

    async def start_postgres(self) -> None:
        """Start PostgreSQL on the same data and port; return when it has recovered and answers."""
        self._postgres.launch()
        await _until_it_answers(self._postgres)


async def _until_it_answers(server: PostgresServer | RabbitmqServer) -> None:
    starting = server.starting()
    while not await asyncio.to_thread(server.answers):
        starting.check()
        await asyncio.sleep(0.1)
