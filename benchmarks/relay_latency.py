"""How long it takes from a commit to a consumer, and what it costs when there is nothing to do."""

import asyncio
import json
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractExchange, DeliveryMode
from sqlalchemy import event as hooks

from alta_common.contracts.projects import ProjectCreated
from alta_common.db.engine import Sessions, create_engine, create_sessions
from alta_common.ids import new_id
from alta_common.outbox import Outbox, OutboxWakeup
from figures import Figure, cpu_seconds_of
from relay_stage import QUEUE, SCHEMA, Stage, relays

RATES = (50, 500)
_SHARE_OF_FAST = 0.4
"""Of the time that the slow rate gets: it makes four times as many events then."""
_WRITERS = 20
_LATEST_SECONDS = 60
_SETTLING_SECONDS = 3

Sending = Callable[[ProjectCreated], Awaitable[int]]
"""Sends an event on its way and returns the moment, in nanoseconds, from which its way is measured."""


class Listener:
    """The consumer's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def arrivals(self, count: int) -> dict[str, int]:
        """Return when each message arrived, once so many have, and end it."""
        async with asyncio.timeout(_LATEST_SECONDS):
            printed, _ = await self._process.communicate(b"%d\n" % count)
        found: dict[str, int] = json.loads(printed)
        return found


async def listen(stage: Stage) -> Listener:
    """Start to consume."""
    program = __file__.replace("relay_latency", "relay_listener")
    argv = [sys.executable, program, stage.infra.amqp_url, QUEUE]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    await process.stdout.readline()
    return Listener(process)


class Service:
    """Writes events as a service does, a transaction each."""

    def __init__(self, sessions: Sessions, outbox: Outbox) -> None:
        self._sessions = sessions
        self._outbox = outbox

    async def write(self, event: ProjectCreated) -> int:
        """Write an event and return when its transaction had committed."""
        committed: list[int] = []
        async with self._sessions() as session:
            # Before the outbox's own hook, so that the way of the notification is all in it.
            hooks.listen(session.sync_session, "after_commit", lambda _: committed.append(time.monotonic_ns()))
            await self._outbox.add(session, event)
            await session.commit()
        return committed[0]


@asynccontextmanager
async def service(stage: Stage) -> AsyncIterator[Service]:
    """Run the writing part of a service."""
    settings = stage.database.settings(SCHEMA).model_copy(update={"postgres_pool_size": _WRITERS})
    engine = create_engine(settings, application_name="benchmark")
    wakeup = OutboxWakeup(engine, SCHEMA)
    try:
        yield Service(create_sessions(engine), Outbox(SCHEMA, wakeup))
    finally:
        await wakeup.aclose()
        await engine.dispose()


class Direct:
    """Publishes without an outbox."""

    def __init__(self, exchange: AbstractExchange) -> None:
        self._exchange = exchange

    async def publish(self, event: ProjectCreated) -> int:
        """Publish an event, and return when that began."""
        begun = time.monotonic_ns()
        properties: dict[str, Any] = {"message_id": str(event.event_id), "delivery_mode": DeliveryMode.PERSISTENT}
        await self._exchange.publish(aio_pika.Message(event.to_bytes(), **properties), event.ROUTING_KEY)
        return begun


async def paced(rate: int, seconds: float, sending: Sending) -> dict[str, int]:
    """Send events at random moments, so many a second, however long each takes; return when each was sent."""
    sent: dict[str, int] = {}

    async def send() -> None:
        event = ProjectCreated(project_id=new_id(), name="Letters", created_by=new_id())
        sent[str(event.event_id)] = await sending(event)

    begun = time.perf_counter()
    moment = 0.0
    async with asyncio.TaskGroup() as group:
        while (moment := moment + random.expovariate(rate)) < seconds:
            await asyncio.sleep(begun + moment - time.perf_counter())
            group.create_task(send())
    return sent


async def commit_to_consumer(stage: Stage, rounds: int, seconds: float) -> AsyncIterator[Figure]:
    """Measure the way of an event beside that of a message which is published directly, in turn."""
    await stage.empty()
    sent: dict[tuple[int, str], list[dict[str, int]]] = defaultdict(list)
    async with relays(stage), service(stage) as writing, await aio_pika.connect(stage.infra.amqp_url) as connection:
        direct = Direct(await (await connection.channel()).get_exchange(ProjectCreated.EXCHANGE))
        listener = await listen(stage)
        ways: dict[str, Sending] = {"event": writing.write, "message": direct.publish}
        for name, sending in ways.items():
            # Connections, prepared statements, caches.
            sent[0, name].append(await paced(RATES[-1], 1.0, sending))
        for _ in range(rounds):
            for rate in RATES:
                for name, sending in ways.items():
                    length = seconds if rate == RATES[0] else seconds * _SHARE_OF_FAST
                    sent[rate, name].append(await paced(rate, length, sending))
        arrivals = await listener.arrivals(sum(len(one) for several in sent.values() for one in several))
    for rate in RATES:
        events, messages = (_delays(sent[rate, name], arrivals) for name in ways)
        for percent in (50, 99):
            value, reference = (_quantile(delays, percent) for delays in (events, messages))
            yield Figure(f"relay.commit_to_consumer_at_{rate}_p{percent}", value, "ms", reference)


def _delays(rounds: list[dict[str, int]], arrivals: dict[str, int]) -> list[list[float]]:
    """Return the milliseconds that each message took, round by round."""
    return [[(arrivals[one] - moment) / 1e6 for one, moment in sent.items()] for sent in rounds]


def _quantile(rounds: list[list[float]], percent: int) -> float:
    """Return the median over the rounds of one quantile."""
    return statistics.median(statistics.quantiles(delays, n=100, method="inclusive")[percent - 1] for delays in rounds)


async def idle(stage: Stage, seconds: float) -> Figure:
    """Measure the CPU time of a relay without work, its PostgreSQL backends included, beside a consumer's."""
    await stage.empty()
    async with relays(stage) as running:
        listener = await listen(stage)
        backends = await stage.superuser.fetch("SELECT pid FROM pg_stat_activity WHERE usename = 'alta_relay'")
        ours = [running[0].pid, *(backend["pid"] for backend in backends)]
        # What it does at its start is over.
        await asyncio.sleep(_SETTLING_SECONDS)
        before = cpu_seconds_of(ours), cpu_seconds_of([listener.pid])
        await asyncio.sleep(seconds)
        spent, reference = cpu_seconds_of(ours) - before[0], cpu_seconds_of([listener.pid]) - before[1]
        await listener.arrivals(0)
    return Figure("relay.idle", 100 * spent / seconds, "% of a core", 100 * reference / seconds)
