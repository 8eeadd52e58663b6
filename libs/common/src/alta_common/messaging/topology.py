"""Which queues hear which events, how messages wait for another try, and where they go when nobody can handle them.

Per work queue there is `<queue>.dead`. The delay queues are shared: a message published to the exchange `retry.5s`
waits five seconds in the queue of that name, then returns through the default exchange to the queue that its routing
key names. Declaring is idempotent; every process that publishes or consumes does it when it starts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

from alta_common.contracts.registry import EXCHANGES

DEAD_LETTER_EXCHANGE = "alta.dlx"

OCR_QUEUE = "ocr_queue"
TRANSCRIPTION_QUEUE = "transcription_queue"
EMAIL_QUEUE = "email_queue"
WEBHOOK_QUEUE = "webhook_queue"
PROJECTS_RESULTS_QUEUE = "projects_results_queue"
DEFAULT_QUEUE = "default"

QUEUES: Mapping[str, tuple[str, ...]] = {
    OCR_QUEUE: ("projects.document.ocr_requested.v1",),
    TRANSCRIPTION_QUEUE: ("projects.voice.transcription_requested.v1",),
    EMAIL_QUEUE: (
        "identity.email.requested.v1",
        "projects.email.requested.v1",
        "identity.user.registered.v1",
        "projects.project.created.v1",
    ),
    WEBHOOK_QUEUE: ("projects.webhook.requested.v1",),
    PROJECTS_RESULTS_QUEUE: ("ocr.document.*.v1", "transcription.voice.*.v1", "identity.user.registered.v1"),
    DEFAULT_QUEUE: (),
}
"""Queue → the routing keys that it is bound with. `default` takes general tasks, sent to it by name."""

BROADCASTS: Mapping[str, tuple[str, ...]] = {
    "ocr": ("projects.document.ocr_cancelled.v1",),
    "transcription": ("projects.voice.transcription_cancelled.v1",),
}
"""Service → the routing keys of which each of its processes hears every message, on a queue of its own.

Such a queue exists while its process listens. Nobody may be there to hear: a publisher must not take that for a fault.
"""

_DELIVERY_LIMIT = 20
# RabbitMQ 4 gives quorum queues a limit of 20 by default; looking at dead letters must never use them up.
_NO_DELIVERY_LIMIT = 1_000_000


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


def exchange_of(binding: str) -> str:
    """Return the exchange that a routing key or binding belongs to: its first word names the publishing context."""
    return binding.partition(".")[0] + ".events"


def dead_queue_of(queue: str) -> str:
    """Return the name of the queue where messages that `queue` could not handle wait for a person."""
    return f"{queue}.dead"


def queues_for(routing_key: str) -> list[str]:
    """Return the queues that hear a routing key."""
    return [queue for queue, bindings in QUEUES.items() if any(_matches(one, routing_key) for one in bindings)]


def is_broadcast(routing_key: str) -> bool:
    """Say whether a routing key is heard by processes, of which there may be none, and not by a queue."""
    return any(_matches(one, routing_key) for bindings in BROADCASTS.values() for one in bindings)


def _matches(binding: str, routing_key: str) -> bool:
    words, asked = binding.split("."), routing_key.split(".")
    return len(words) == len(asked) and all(word in {"*", given} for word, given in zip(words, asked, strict=True))


async def declare_topology(rabbitmq_url: str, ladder: tuple[RetryDelay, ...] = RETRY_LADDER) -> None:
    """Declare every exchange, queue and binding, over a connection of its own. Safe to do again and concurrently."""
    connection = await aio_pika.connect(rabbitmq_url, timeout=10)
    async with connection:
        channel = await connection.channel()
        # Dead letters first: RabbitMQ drops rejected messages when the exchange for them is missing.
        await _declare_dead_letters(channel)
        await _declare_retries(channel, ladder)
        await _declare_work(channel)


async def _declare_dead_letters(channel: AbstractChannel) -> None:
    exchange = await channel.declare_exchange(DEAD_LETTER_EXCHANGE, aio_pika.ExchangeType.DIRECT, durable=True)
    for name in QUEUES:
        arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": _NO_DELIVERY_LIMIT}
        queue = await channel.declare_queue(dead_queue_of(name), durable=True, arguments=arguments)
        await queue.bind(exchange, routing_key=name)


async def _declare_retries(channel: AbstractChannel, ladder: tuple[RetryDelay, ...]) -> None:
    for rung in ladder:
        # Fanout, because the routing key is taken: it names the queue to come back to.
        exchange = await channel.declare_exchange(rung.name, aio_pika.ExchangeType.FANOUT, durable=True)
        arguments: dict[str, Any] = {
            "x-queue-type": "quorum",
            "x-message-ttl": int(rung.delay.total_seconds() * 1000),
            "x-dead-letter-exchange": "",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        queue = await channel.declare_queue(rung.name, durable=True, arguments=arguments)
        await queue.bind(exchange, routing_key="")


async def _declare_work(channel: AbstractChannel) -> None:
    for name in sorted(EXCHANGES):
        await channel.declare_exchange(name, aio_pika.ExchangeType.TOPIC, durable=True)
    for name, bindings in QUEUES.items():
        arguments: dict[str, Any] = {
            "x-queue-type": "quorum",
            "x-delivery-limit": _DELIVERY_LIMIT,
            "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
            "x-dead-letter-routing-key": name,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        queue = await channel.declare_queue(name, durable=True, arguments=arguments)
        for binding in bindings:
            await queue.bind(exchange_of(binding), routing_key=binding)
