"""Listening to the broker in a test, and publishing as another service would."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import orjson
from aio_pika.abc import AbstractIncomingMessage

from alta_common.contracts.event import CONTENT_TYPE, Event, message_headers


@dataclass
class Heard:
    """What arrived so far, in order of arrival."""

    messages: list[AbstractIncomingMessage] = field(default_factory=list)

    @property
    def envelopes(self) -> list[dict[str, Any]]:
        """The CloudEvents envelopes."""
        return [orjson.loads(message.body) for message in self.messages]

    @property
    def types(self) -> list[str]:
        """The events' types."""
        return [envelope["type"] for envelope in self.envelopes]


@asynccontextmanager
async def listening(rabbitmq_url: str, exchange: str, routing_key: str = "#") -> AsyncIterator[Heard]:
    """Hear all that is published to the topic exchange `exchange`, which is declared when it is missing."""
    heard = Heard()
    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        topic = await channel.declare_exchange(exchange, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(topic, routing_key)

        async def take(message: AbstractIncomingMessage) -> None:
            heard.messages.append(message)

        await queue.consume(take, no_ack=True)
        yield heard


async def publish(
    rabbitmq_url: str, event: Event, *, correlation_id: str | None = None, traceparent: str | None = None
) -> None:
    """Publish `event` as its service would.

    Raises aiormq's `AMQPError` when it reaches no queue: until a consumer has made its own, the exchange is
    missing (`ChannelNotFoundEntity`), or already there with nothing bound to it (`DeliveryError`).
    """
    body = event.to_bytes(correlation_id=correlation_id, traceparent=traceparent)
    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(event.EXCHANGE, ensure=True)
        await exchange.publish(
            aio_pika.Message(
                body,
                content_type=CONTENT_TYPE,
                message_id=str(event.event_id),
                type=event.TYPE,
                headers=dict(message_headers(orjson.loads(body))),
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            ),
            event.ROUTING_KEY,
        )
