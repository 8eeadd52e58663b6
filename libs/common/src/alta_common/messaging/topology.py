"""Which queues hear which events, how messages wait for another try, and where they go when nobody can handle them.

Per work queue there is `<queue>.dead`. The delay queues are shared: a message published to the exchange `retry.5s`
waits five seconds in the queue of that name, then returns through the default exchange to the queue that its routing
key names. Declaring is idempotent; every process that publishes or consumes does it when it starts.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity, ChannelPreconditionFailed

from alta_common.contracts.registry import EXCHANGES
from alta_common.messaging.queues import (
    BROADCASTS,
    DEAD_LETTER_EXCHANGE,
    DEFAULT_QUEUE,
    EMAIL_QUEUE,
    OCR_QUEUE,
    ORDERED_MARK,
    PROJECTS_RESULTS_QUEUE,
    QUEUES,
    TRANSCRIPTION_QUEUE,
    WEBHOOK_QUEUE,
    dead_queue_of,
    exchange_of,
    is_broadcast,
    ordered_exchange_of,
    queues_for,
)
from alta_common.messaging.stopping import stop_if_told

__all__ = [
    "BROADCASTS",
    "DEAD_LETTER_EXCHANGE",
    "DEFAULT_QUEUE",
    "EMAIL_QUEUE",
    "OCR_QUEUE",
    "PROJECTS_RESULTS_QUEUE",
    "QUEUES",
    "RETRY_LADDER",
    "TRANSCRIPTION_QUEUE",
    "WEBHOOK_QUEUE",
    "RetryDelay",
    "TopologyConflictError",
    "dead_queue_of",
    "declare_topology",
    "exchange_of",
    "is_broadcast",
    "is_ordered",
    "ordered_exchange_of",
    "queues_for",
    "refusals",
    "work_arguments",
]

_DELIVERY_LIMIT = 20
# RabbitMQ 4 gives quorum queues a limit of 20 by default; looking at dead letters must never use them up.
_NO_DELIVERY_LIMIT = 1_000_000


class TopologyConflictError(AMQPError):
    """The broker has a queue or an exchange of that name already, but another kind of it, or lacks a plugin.

    Declaring never changes what is there. docs/operations/messaging.md says how to migrate it.
    """


@dataclass(frozen=True, slots=True)
class RetryDelay:
    """A rung of the retry ladder: the exchange, and the queue behind it, where a message waits."""

    name: str
    delay: timedelta


RETRY_LADDER: tuple[RetryDelay, ...] = (
    RetryDelay("retry.5s", timedelta(seconds=5)),
    RetryDelay("retry.30s", timedelta(seconds=30)),
    RetryDelay("retry.5m", timedelta(minutes=5)),
    RetryDelay("retry.30m", timedelta(minutes=30)),
)


def work_arguments(queue: str) -> dict[str, Any]:
    """Return the arguments of a work queue whose dead letters are those of `queue`."""
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": _DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


async def declare_topology(rabbitmq_url: str, ladder: tuple[RetryDelay, ...] = RETRY_LADDER) -> None:
    """Declare every exchange, queue and binding, over a connection of its own. Safe to do again and concurrently.

    Raises `TopologyConflictError` where the broker has something else under one of the names; the other queues are
    there then all the same.
    """
    with refusals("the topology"):
        connection = await aio_pika.connect(rabbitmq_url, timeout=10)
        async with connection:
            declaring = _Declaring(connection, await connection.channel())
            # Dead letters first: RabbitMQ drops rejected messages when the exchange for them is missing.
            await _declare_dead_letters(declaring)
            await _declare_retries(declaring, ladder)
            await _declare_work(connection, declaring)
            for refusal in declaring.refusals:
                raise refusal
        stop_if_told()


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Name what the broker will not declare, and what to do about it."""
    try:
        yield
    except ChannelPreconditionFailed as error:
        raise TopologyConflictError(
            f"{what} cannot be declared: something of that name exists with other arguments, as an older version "
            f"declared it. Move its messages away and delete it (docs/operations/messaging.md, migrating a queue). "
            f"The broker says: {error}"
        ) from error


async def is_ordered(connection: AbstractConnection, queue: str) -> bool:
    """Say whether a queue is spread over partitions."""
    # The mark first: the broker writes each question that it answers with no to its log, as an error of ours.
    return await _is_there(connection, ORDERED_MARK) and await _is_there(connection, ordered_exchange_of(queue))


async def _is_there(connection: AbstractConnection, exchange: str) -> bool:
    # A channel for the question: the broker answers a no by closing it.
    channel = await connection.channel()
    try:
        await channel.get_exchange(exchange, ensure=True)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True


class _Declaring:
    """Declares over a channel, and over another one after each refusal: with that the broker closes the channel."""

    def __init__(self, connection: AbstractConnection, channel: AbstractChannel) -> None:
        self.refusals: list[ChannelPreconditionFailed] = []
        self._connection = connection
        self._channel = channel

    async def exchange(self, name: str, kind: aio_pika.ExchangeType) -> None:
        """Declare an exchange; another one of its name is left as it is."""
        try:
            await self._channel.declare_exchange(name, kind, durable=True)
        except ChannelPreconditionFailed as error:
            await self._refuse(error)

    async def queue(self, name: str, arguments: dict[str, Any], bindings: Iterable[tuple[str, str]]) -> None:
        """Declare a queue and bind it (exchange, routing key); another one of its name is left as it is."""
        try:
            queue = await self._channel.declare_queue(name, durable=True, arguments=arguments)
        except ChannelPreconditionFailed as error:
            await self._refuse(error)
            return
        for exchange, routing_key in bindings:
            await queue.bind(exchange, routing_key=routing_key)

    async def _refuse(self, error: ChannelPreconditionFailed) -> None:
        self.refusals.append(error)
        self._channel = await self._connection.channel()


async def _declare_dead_letters(declaring: _Declaring) -> None:
    await declaring.exchange(DEAD_LETTER_EXCHANGE, aio_pika.ExchangeType.DIRECT)
    for name in QUEUES:
        arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": _NO_DELIVERY_LIMIT}
        await declaring.queue(dead_queue_of(name), arguments, [(DEAD_LETTER_EXCHANGE, name)])


async def _declare_retries(declaring: _Declaring, ladder: tuple[RetryDelay, ...]) -> None:
    for rung in ladder:
        # Fanout, because the routing key is taken: it names the queue to come back to.
        await declaring.exchange(rung.name, aio_pika.ExchangeType.FANOUT)
        arguments: dict[str, Any] = {
            "x-queue-type": "quorum",
            "x-message-ttl": int(rung.delay.total_seconds() * 1000),
            "x-dead-letter-exchange": "",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        await declaring.queue(rung.name, arguments, [(rung.name, "")])


async def _declare_work(connection: AbstractConnection, declaring: _Declaring) -> None:
    for name in sorted(EXCHANGES):
        await declaring.exchange(name, aio_pika.ExchangeType.TOPIC)
    some_are_ordered = await _is_there(connection, ORDERED_MARK)
    for name, bindings in QUEUES.items():
        # The events of an ordered queue go to its partitions (`alta_common.messaging.partitions`).
        is_plain = not (some_are_ordered and await is_ordered(connection, name))
        bound = [(exchange_of(binding), binding) for binding in bindings] if is_plain else []
        await declaring.queue(name, work_arguments(name), bound)
