"""Messages for consumers, numbered within their aggregates, poison among them; published until they are confirmed."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from uuid import UUID

import aio_pika
import orjson
from aio_pika.abc import AbstractConnection, DeliveryMode
from aio_pika.exceptions import AMQPError

from alta_common.contracts.event import CONTENT_TYPE, message_headers
from alta_common.contracts.projects import EXCHANGE, ProjectCreated
from alta_common.ids import new_id
from faults_consumer_program import HOPELESS, NEVER

_LOST = (AMQPError, OSError, TimeoutError, RuntimeError, asyncio.CancelledError)
_BATCH = 100
_AGGREGATES = 40
_POISON_EVERY = 50

# What is wrong with a message, and the reason that it must have among the dead.
POISON = {
    HOPELESS: "permanent_failure",
    "unreadable": "unreadable_message",
    "misfit": "ValidationError",
    NEVER: "unavailable",
}
AT_ONCE = (HOPELESS, "unreadable", "misfit")
"""Poison that is known as such at the first attempt."""


class Publisher:
    """Publishes while it is allowed more good messages than there are."""

    def __init__(self, rabbitmq_url: str, rng: Random, poison: Sequence[str]) -> None:
        self._url = rabbitmq_url
        self._rng = rng
        self._kinds = poison
        self._allowed = 0
        self._made = 0
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._last = dict.fromkeys((new_id() for _ in range(_AGGREGATES)), 0)
        self.published: set[UUID] = set()
        self.poison: dict[str, str] = {}
        """Message ids with the reason that each has to fail for."""

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.ensure_future(self._run())

    def allow(self, messages: int) -> None:
        """Let there be this many messages."""
        self._allowed = messages
        self._more.set()

    def check(self) -> None:
        """Raise what ended it."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Stop."""
        ending = {self._task} if self._task is not None else set()
        while ending:
            # A library that is just losing its connection may swallow a cancellation.
            for task in ending:
                task.cancel()
            _, ending = await asyncio.wait(ending, timeout=1)
        self._task = None

    async def _run(self) -> None:
        while True:
            while len(self.published) >= self._allowed:
                self._more.clear()
                await self._more.wait()
            batch = [self._message() for _ in range(min(_BATCH, self._allowed - len(self.published)))]
            await self._publish(batch)
            self._note(batch)

    async def _publish(self, batch: list[tuple[aio_pika.Message, str | None]]) -> None:
        """Publish messages; when it is not certain that all were taken, all are published again: twice is once."""
        task = asyncio.current_task()
        while True:
            with suppress(*_LOST):
                async with asyncio.timeout(60), await aio_pika.connect(self._url, timeout=10) as connection:
                    await self._send(connection, batch)
                    return
            # A channel that ends cancels whoever waits for a confirm on it; that is not us being stopped.
            if task is not None and task.cancelling():
                raise asyncio.CancelledError
            await asyncio.sleep(0.2)

    async def _send(self, connection: AbstractConnection, batch: list[tuple[aio_pika.Message, str | None]]) -> None:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(EXCHANGE, ensure=False)
        for message, _ in batch:
            # Some twice, as a relay does that was killed.
            for _ in range(1 if self._rng.random() < 0.95 else 2):
                await exchange.publish(message, ProjectCreated.ROUTING_KEY)

    def _note(self, batch: list[tuple[aio_pika.Message, str | None]]) -> None:
        for message, reason in batch:
            if reason is None:
                self.published.add(UUID(message.message_id))
            else:
                self.poison[str(message.message_id)] = reason

    def _message(self) -> tuple[aio_pika.Message, str | None]:
        self._made += 1
        turn, rest = divmod(self._made, _POISON_EVERY)
        kind = None if rest else self._kinds[turn % len(self._kinds)]
        aggregate = self._rng.choice(list(self._last))
        if kind is None:
            self._last[aggregate] += 1
        event = ProjectCreated(project_id=aggregate, name=kind or str(self._last[aggregate]), created_by=new_id())
        envelope = event.envelope(correlation_id=None, traceparent=None)
        if kind == "misfit":
            del envelope["data"]["project_id"]
        message = aio_pika.Message(
            b"{" if kind == "unreadable" else orjson.dumps(envelope),
            content_type=CONTENT_TYPE,
            message_id=str(event.event_id),
            type=event.TYPE,
            headers=dict(message_headers(envelope)),
            delivery_mode=DeliveryMode.PERSISTENT,
        )
        return message, POISON.get(kind or "")
