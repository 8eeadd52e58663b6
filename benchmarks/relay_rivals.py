"""What the relay is measured against: a C client that only publishes, and the relay that everybody writes first."""

import asyncio
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import asyncpg
from aio_pika.abc import DeliveryMode

from alta_common.contracts.projects import ProjectCreated
from alta_stack.settings import environment
from figures import note
from relay_stage import EVENT_BYTES, SCHEMA, Stage

WINDOW = 1000
_SOURCE = Path(__file__).with_name("publisher.c")
_BATCH = 100


@dataclass(frozen=True)
class CClient:
    """The compiled publisher."""

    program: Path

    async def seconds(self, amqp_url: str, count: int, *, headers: bool) -> float:
        """Return how long it takes until so many messages of 1 KB are confirmed, with an event's headers or without."""
        where = [amqp_url, ProjectCreated.EXCHANGE, ProjectCreated.ROUTING_KEY]
        what = [str(count), str(EVENT_BYTES), str(WINDOW), "headers" if headers else "bare"]
        process = await asyncio.create_subprocess_exec(self.program, *where, *what, stdout=asyncio.subprocess.PIPE)
        printed, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError("the C client failed")
        return float(printed)


def c_client(folder: Path) -> CClient | None:
    """Compile the C client into `folder`; None where that cannot be."""
    if not Path("/usr/include/amqp.h").exists() and shutil.which("apt-get"):
        note("Installing librabbitmq-dev, to compare with.")
        variables = {**environment(), "DEBIAN_FRONTEND": "noninteractive"}
        for argv in (
            ["apt-get", "update"],
            ["apt-get", "install", "--yes", "--no-install-recommends", "librabbitmq-dev"],
        ):
            subprocess.run(argv, env=variables, capture_output=True, check=False)
    program = folder / "publisher"
    compiler = shutil.which("cc")
    argv = [compiler or "cc", "-O2", "-o", str(program), str(_SOURCE), "-lrabbitmq"]
    if compiler is None or subprocess.run(argv, check=False).returncode:
        note("The C client's figures are left out: it needs cc and librabbitmq (apt-get install gcc librabbitmq-dev).")
        return None
    return CClient(program)


class NaiveRelay:
    """Selects a hundred events, publishes each with its confirm and marks it, one by one.

    It has a table as such relays have it: one, with a column that says what was published.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def prepare(self, count: int) -> None:
        """Give it so many events of the backlog."""
        await self._stage.superuser.execute("DROP TABLE IF EXISTS public.naive_outbox")
        await self._stage.superuser.execute(
            f"""
            CREATE TABLE public.naive_outbox AS
            SELECT id, exchange, routing_key, body, headers, NULL::timestamptz AS published_at
            FROM {SCHEMA}.outbox_event ORDER BY id LIMIT {count}
            """
        )
        await self._stage.superuser.execute("ALTER TABLE public.naive_outbox ADD PRIMARY KEY (id)")
        await self._stage.superuser.execute("CREATE INDEX ON public.naive_outbox (id) WHERE published_at IS NULL")

    async def seconds(self) -> float:
        """Return how long it takes to publish them all."""
        database = await asyncpg.connect(self._stage.database.superuser_dsn)
        try:
            async with await aio_pika.connect(self._stage.infra.amqp_url) as connection:
                channel = await connection.channel(on_return_raises=True)
                exchange = await channel.get_exchange(ProjectCreated.EXCHANGE)
                begun = time.perf_counter()
                while rows := await database.fetch(_NEXT, _BATCH):
                    for row in rows:
                        message = aio_pika.Message(row["body"], delivery_mode=DeliveryMode.PERSISTENT)
                        await exchange.publish(message, row["routing_key"])
                        await database.execute(_MARK, row["id"])
                return time.perf_counter() - begun
        finally:
            await database.close()


_NEXT = "SELECT * FROM public.naive_outbox WHERE published_at IS NULL ORDER BY id LIMIT $1"
_MARK = "UPDATE public.naive_outbox SET published_at = now() WHERE id = $1"
