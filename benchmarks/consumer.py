"""How fast a consumer of ours takes events in, with inbox, tracing, metrics and logs, beside bare FastStream.

Prints one JSON line a figure: {"benchmark", "value", "unit", "reference", "ratio"}. Both empty the same quorum queue of
the same messages with the same prefetch, in this process, in turn in every round; values are medians. Where the handler
has an effect, it is the same row in the same database, in one transaction; ours has the inbox's in it as well. Spans
are all sampled, and go to a collector in a process of its own; lines of log go to a file.

    python benchmarks/consumer.py [--quick]
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from pathlib import Path

import asyncpg

from alta_common import process
from alta_common.db.engine import create_engine, create_sessions
from alta_common.inbox.table import create_inbox
from alta_common.messaging.topology import declare_topology
from alta_common.settings import ServiceSettings
from alta_common.telemetry.setup import setup_telemetry
from alta_common.testing.postgres import DatabaseMaker
from alta_stack.infra import Infra, start_infra
from alta_stack.settings import CHECKOUT
from consumer_sides import EFFECT_TABLE, PREFETCH, SCHEMA, Countdown, Done, Queue
from figures import Cost, Figure, in_turn

ROUNDS = 5
WITH_EFFECT = 400
EMPTY = 1000
QUICK = 4
WARM_UP = 4

Consuming = Callable[[Done], AbstractAsyncContextManager[None]]


def emptying(queue: Queue, count: int, consuming: Consuming) -> Callable[[], Awaitable[Cost]]:
    """Return what fills the queue, and then has it emptied."""

    async def once() -> Cost:
        await queue.fill(count)
        countdown = Countdown(count)
        async with consuming(countdown.handled):
            return await countdown.cost()

    return once


async def compare(queue: Queue, count: int, *, with_database: bool, name: str) -> list[Figure]:
    """Measure rate and CPU time of ours beside those of FastStream."""
    sides = (partial(queue.ours, with_database=with_database), partial(queue.bare, with_database=with_database))
    await in_turn(1, *(emptying(queue, count // WARM_UP, side) for side in sides))
    own, other = await in_turn(ROUNDS, *(emptying(queue, count, side) for side in sides))
    micros = 1_000_000 / count
    return [
        Figure(f"consumer.{name}", count / own.seconds, "events/s", count / other.seconds),
        Figure(f"consumer.{name}_cpu", own.cpu_seconds * micros, "CPU us/event", other.cpu_seconds * micros),
    ]


async def measure(infra: Infra, scale: int, figures: list[Figure]) -> None:
    """Measure with an effect in the database, and with nothing to do."""
    maker = DatabaseMaker(infra.postgres_dsn)
    settings = (await maker.create()).settings(SCHEMA).model_copy(update={"postgres_pool_size": PREFETCH})
    connection = await asyncpg.connect(settings.postgres_dsn)
    for statement in (*create_inbox(SCHEMA), EFFECT_TABLE):
        await connection.execute(statement)
    await connection.close()
    await declare_topology(infra.amqp_url)
    engine = create_engine(settings, application_name="bench")
    queue = Queue(infra.amqp_url, create_sessions(engine))
    figures += await compare(queue, WITH_EFFECT // scale, with_database=True, name="effect_once")
    figures += await compare(queue, EMPTY // scale, with_database=False, name="empty_handler")
    await engine.dispose()


@contextmanager
def collector() -> Iterator[str]:
    """Run a collector of traces, and give its address."""
    command = [sys.executable, str(Path(__file__).with_name("consumer_sink.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sink:
        assert sink.stdin is not None
        assert sink.stdout is not None
        yield f"http://127.0.0.1:{sink.stdout.readline().strip()}"
        sink.stdin.close()


@contextmanager
def logging_to_a_file() -> Iterator[None]:
    """Write lines of log where no figure stands."""
    figures = sys.stdout
    with tempfile.TemporaryFile("w") as log:
        sys.stdout = log
        try:
            yield
        finally:
            sys.stdout = figures


def main() -> None:
    """Measure on servers of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of the messages")
    scale = QUICK if parser.parse_args().quick else 1
    figures: list[Figure] = []
    infra = start_infra(CHECKOUT / ".alta" / f"bench-consumer-{os.getpid()}", redis=False)
    try:
        with collector() as endpoint, logging_to_a_file():
            telemetry = setup_telemetry(ServiceSettings(otel_exporter_otlp_endpoint=endpoint), "bench")
            process.run(measure(infra, scale, figures))
            telemetry.shutdown()
    finally:
        infra.discard()
    for figure in figures:
        print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
