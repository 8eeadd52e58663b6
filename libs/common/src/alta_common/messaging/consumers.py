"""The consumers of a process: what they hear, how they start, and how they end without losing anything."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from aio_pika.abc import AbstractIncomingMessage

from alta_common.messaging.broadcasts import BroadcastListener
from alta_common.messaging.broker import (
    CONNECTION_ERRORS,
    BrokerUnavailableError,
    ConfirmedSender,
    address_of,
    raising_losses,
    when_there,
)
from alta_common.messaging.delivery import DeliveryProcess, Handler, HandlerTimeoutError
from alta_common.messaging.handover import Handover
from alta_common.messaging.ordered import Dealer, Mover, Ordered, OrderedDelivery
from alta_common.messaging.partitions import declare_partitions, line_of, partition_of
from alta_common.messaging.subscriptions import Subscriptions
from alta_common.messaging.suspects import Suspects
from alta_common.messaging.topology import RETRY_LADDER, RetryDelay, declare_topology, ordered_exchange_of
from alta_common.messaging.undecodable import tolerate_undecodable_properties
from alta_common.telemetry.metrics import messages_handled

__all__ = ["Consumer", "ConsumerApp", "Handler", "HandlerTimeoutError", "Ordered"]

log = structlog.get_logger()

_KEEPER_SECONDS = 1.0
_MOVED_AT_ONCE = 10
_DEALT_AT_ONCE = 100

Run = Callable[[AbstractIncomingMessage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Consumer:
    """A queue, who handles its events, and how many of them at once (`prefetch`).

    `time_limit` must stay below the broker's consumer timeout (30 minutes): past it the handler is cancelled and the
    message tried again later. A handler with more to do than that raises `UnfinishedError` in time.

    With `ordered` the events of one aggregate are handled one after the other, in the order of publishing; `prefetch`
    is then what a partition may hold.
    """

    queue: str
    handlers: Sequence[Handler[Any]]
    prefetch: int = 10
    time_limit: timedelta = timedelta(minutes=25)
    ordered: Ordered | None = None

    def __post_init__(self) -> None:
        """Refuse what order cannot be kept with: too long a time limit, and `given_up`, which has no limit at all."""
        if self.ordered:
            self.ordered.prefetch(self.time_limit, self.prefetch)
            if any(handler.given_up for handler in self.handlers):
                raise ValueError(
                    f"{self.queue}: an ordered consumer cannot give up with a word to the owner: while that fails, the "
                    "message would be held, and its whole partition with it"
                )

    @property
    def partitions(self) -> int:
        """Return over how many partitions the queue is spread; 0 when it is not."""
        return self.ordered.partitions if self.ordered else 0


class ConsumerApp:
    """Consumes the queues of one process, and hears its service's `broadcasts`, until it is stopped."""

    def __init__(
        self,
        rabbitmq_url: str,
        service: str,
        consumers: Sequence[Consumer],
        drain_seconds: float,
        *,
        broadcasts: Sequence[Handler[Any]] = (),
        ladder: tuple[RetryDelay, ...] = RETRY_LADDER,
    ) -> None:
        if not ladder:
            raise ValueError("a retry ladder has one rung at least")
        self._url = rabbitmq_url
        self._service = service
        self._consumers = tuple(consumers)
        self._drain_seconds = drain_seconds
        self._ladder = ladder
        # Publishing goes over a connection of its own: a memory alarm stalls a shared one, acknowledgements included.
        self._sender = ConfirmedSender(rabbitmq_url, f"{service} retries", waits_out_alarms=True)
        self._broadcasts = BroadcastListener(rabbitmq_url, service, broadcasts) if broadcasts else None
        self._subscriptions: Subscriptions | None = None
        self._running: dict[asyncio.Task[Any], str] = {}
        self._stopping = asyncio.Event()
        self._suspects = Suspects()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Wait for the broker, declare the topology, begin to consume."""
        tolerate_undecodable_properties()
        retired = await when_there(self._url, self._declare)
        await when_there(self._url, self._sender.start)
        if self._broadcasts is not None:
            # First: what is said of a message that is being handled must not be missed.
            await self._broadcasts.start()
        await when_there(self._url, lambda: self._consume(retired))
        self._keeper = asyncio.create_task(self._keep(), name="consumers-keeper")
        log.info("consumers.started", broker=address_of(self._url), queues=[one.queue for one in self._consumers])

    async def stop(self) -> None:
        """Take no more messages, let running handlers finish within the drain time, hand the rest back."""
        self._stopping.set()
        if self._keeper is not None:
            self._keeper.cancel()
        ends: list[Awaitable[None]] = [self._sender.stop()]
        if self._subscriptions is not None:
            # At the same time: a broker that is slow to answer must not take from the time for what runs.
            await asyncio.gather(self._subscriptions.cancel(), self._drain())
            ends.append(self._subscriptions.close())
            self._subscriptions = None
        if self._broadcasts is not None:
            ends.append(self._broadcasts.stop())
        await asyncio.gather(*ends)
        log.info("consumers.stopped")

    async def check(self) -> None:
        """Raise `BrokerUnavailableError` while nothing can be consumed (readiness)."""
        if self._subscriptions is None or not await self._subscriptions.is_connected(0.5):
            raise BrokerUnavailableError("the consumers are not connected to the broker")
        if ended := self._subscriptions.ended:
            raise BrokerUnavailableError(f"{', '.join(ended)}: not consumed at the moment")
        if self._broadcasts is not None:
            await self._broadcasts.check()

    async def _declare(self) -> dict[str, list[str]]:
        """Declare everything; return the retired partitions of each queue."""
        await declare_topology(self._url, self._ladder)
        return {one.queue: await declare_partitions(self._url, one.queue, one.partitions) for one in self._consumers}

    async def _keep(self) -> None:
        """Have queues consumed that are not any more, whatever has become of them."""
        while True:
            await asyncio.sleep(_KEEPER_SECONDS)
            subscriptions = self._subscriptions
            if subscriptions is None:
                continue
            try:
                with raising_losses():
                    await self._repair(subscriptions)
            except CONNECTION_ERRORS as error:
                log.info("consumers.not_repaired", error=repr(error))
            except Exception:
                log.exception("consumers.not_repaired")

    async def _repair(self, subscriptions: Subscriptions) -> None:
        """Declare everything again while there is no connection, and where a queue is not consumed.

        A broker that comes back empty would otherwise refuse our return for ever: the client looks up queues that it
        had, and ends the connection when one is missing. One that somebody has deleted it waits for, on a connection
        that lives, and nothing that is published meanwhile is heard by anybody.
        """
        if not await subscriptions.is_connected(0.1):
            await self._declare()
        elif ended := subscriptions.ended:
            log.warning("consumers.channels_ended", queues=ended)
            await self._declare()
            await subscriptions.restore()

    async def _consume(self, retired: dict[str, list[str]]) -> None:
        subscriptions = Subscriptions(self._url, f"{self._service} consumers")
        for consumer in self._consumers:
            self._subscribe(subscriptions, consumer)
            for queue in retired[consumer.queue]:
                self._move(subscriptions, consumer, queue)
        try:
            await subscriptions.start()
        except BaseException:
            await subscriptions.close()
            raise
        self._subscriptions = subscriptions

    def _subscribe(self, subscriptions: Subscriptions, consumer: Consumer) -> None:
        queue, handlers = consumer.queue, consumer.handlers
        handover = Handover(queue, self._sender)
        ordered = consumer.ordered
        if ordered is None:
            process = DeliveryProcess(
                queue, handlers, handover, self._ladder, time_limit=consumer.time_limit, suspects=self._suspects
            )
            subscriptions.add(queue, consumer.prefetch, self._delivering(queue, process.run))
            return
        prefetch = ordered.prefetch(consumer.time_limit, consumer.prefetch)
        for number in range(ordered.partitions):
            in_order = OrderedDelivery(
                queue,
                handlers,
                handover,
                pauses=ordered.pauses,
                time_limit=consumer.time_limit,
                suspects=self._suspects,
                stopping=self._stopping,
            )
            deliver = self._delivering(queue, in_order.run)
            subscriptions.add(partition_of(queue, number), prefetch, deliver, in_order=True)
        dealer = Dealer(queue, handover, ordered.partitions, self._stopping)
        subscriptions.add(line_of(queue), _DEALT_AT_ONCE, self._delivering(queue, dealer.run), in_order=True)
        self._move(subscriptions, consumer, queue)

    def _move(self, subscriptions: Subscriptions, consumer: Consumer, queue: str) -> None:
        """Move what lies in a queue that events do not go to any more to where they go now."""
        handover = Handover(consumer.queue, self._sender)
        if consumer.ordered:
            mover = Mover(handover, ordered_exchange_of(consumer.queue), None)
        else:
            mover = Mover(handover, "", consumer.queue)
        subscriptions.add(queue, _MOVED_AT_ONCE, self._delivering(queue, mover.run))

    def _delivering(self, queue: str, run: Run) -> Run:
        async def deliver(message: AbstractIncomingMessage) -> None:
            if self._stopping.is_set():
                return
            task = asyncio.current_task()
            assert task is not None
            self._running[task] = queue
            try:
                await run(message)
            finally:
                self._running.pop(task, None)

        return deliver

    async def _drain(self) -> None:
        running = set(self._running)
        if not running:
            return
        log.info("consumers.draining", running=len(running), seconds=self._drain_seconds)
        _, late = await asyncio.wait(running, timeout=self._drain_seconds)
        for task in late:
            messages_handled.labels(self._running.get(task, "unknown"), "any", "requeued").inc()
            task.cancel()
        if late:
            log.warning("consumers.handed_back", messages=len(late))
            await asyncio.wait(late, timeout=5)
