"""The two sides of the benchmark of consumers: ours and bare FastStream, on one queue and one database."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import aio_pika
import orjson
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from sqlalchemy import text

from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.db.engine import Sessions
from alta_common.ids import new_id
from alta_common.inbox import Inbox
from alta_common.messaging.consumers import Consumer, ConsumerApp, Handler
from alta_common.messaging.envelope import message_of
from alta_common.messaging.topology import OCR_QUEUE
from figures import Cost, own_cpu_seconds

SCHEMA = "projects"
PREFETCH = 10
EFFECT_TABLE = f"CREATE TABLE {SCHEMA}.bench_effect (document_id uuid PRIMARY KEY, size_bytes bigint NOT NULL)"

_EFFECT = text(f"INSERT INTO {SCHEMA}.bench_effect (document_id, size_bytes) VALUES (:document_id, :size_bytes)")
_PUBLISHED_AT_ONCE = 200

Done = Callable[[], None]


class Countdown:
    """Takes the time from the first handled message to the last: starting a consumer is not what is measured."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._started = self._spent = 0.0
        self._over: asyncio.Future[Cost] = asyncio.get_running_loop().create_future()

    def handled(self) -> None:
        """Count a message."""
        if not self._started:
            self._started, self._spent = time.perf_counter(), own_cpu_seconds()
        self._left -= 1
        if not self._left:
            self._over.set_result(Cost(time.perf_counter() - self._started, own_cpu_seconds() - self._spent))

    async def cost(self) -> Cost:
        """Wait for the last message. Raises `TimeoutError` when it does not come in two minutes."""
        async with asyncio.timeout(120):
            return await self._over


class Queue:
    """A quorum queue of the system, filled and emptied once a round."""

    def __init__(self, rabbitmq_url: str, sessions: Sessions) -> None:
        self._url = rabbitmq_url
        self._sessions = sessions
        self._inbox = Inbox(SCHEMA)

    async def fill(self, count: int) -> None:
        """Publish events as a service does: persistent, confirmed, each of a trace that is sampled."""
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange(DocumentOcrRequested.EXCHANGE, ensure=False)
            for start in range(0, count, _PUBLISHED_AT_ONCE):
                messages = [a_message() for _ in range(min(_PUBLISHED_AT_ONCE, count - start))]
                await asyncio.gather(
                    *(exchange.publish(message, DocumentOcrRequested.ROUTING_KEY) for message in messages)
                )

    @asynccontextmanager
    async def ours(self, done: Done, *, with_database: bool) -> AsyncIterator[None]:
        """Consume with everything that a service has: contract, inbox, trace, metrics, a line of log."""

        async def take_in(event: DocumentOcrRequested) -> None:
            if with_database:
                async with self._sessions.begin() as session:
                    if await self._inbox.first_time(session, event.event_id, "bench"):
                        await session.execute(_EFFECT, {"document_id": event.document_id, "size_bytes": 1})
            done()

        consumer = Consumer(OCR_QUEUE, [Handler(DocumentOcrRequested, take_in)], PREFETCH)
        app = ConsumerApp(self._url, "bench", [consumer], 5)
        await app.start()
        yield
        await app.stop()

    @asynccontextmanager
    async def bare(self, done: Done, *, with_database: bool) -> AsyncIterator[None]:
        """Consume with FastStream as lean as it goes: no types, no logger, no middleware; it acknowledges by itself."""

        async def take_in(body: bytes) -> None:
            document_id = UUID(orjson.loads(body)["data"]["document_id"])
            if with_database:
                async with self._sessions.begin() as session:
                    await session.execute(_EFFECT, {"document_id": document_id, "size_bytes": 1})
            done()

        broker = RabbitBroker(self._url, logger=None, apply_types=False)
        channel = Channel(prefetch_count=PREFETCH)
        broker.subscriber(RabbitQueue(OCR_QUEUE, declare=False), channel=channel, no_reply=True)(take_in)
        await broker.start()
        yield
        await broker.stop()


def a_message() -> aio_pika.Message:
    """Return an event as a message; together they take a kilobyte and a half."""
    event = DocumentOcrRequested(
        document_id=new_id(),
        project_id=new_id(),
        object_key=f"documents/{new_id()}/{new_id()}/original",
        content_type="application/pdf",
        size_bytes=482_133,
        sha256="0" * 64,
        filename="a letter from somewhere.pdf",
        language="de",
    )
    traceparent = f"00-{new_id().hex}-00f067aa0ba902b7-01"
    return message_of(event, app_id="bench", correlation_id=new_id().hex, traceparent=traceparent)
