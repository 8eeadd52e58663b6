"""Handling the events of one aggregate one after the other, in the order in which they were published.

Each partition of a queue (`partitions`) has one active consumer, which keeps its messages in line; a message that
fails is tried again in place, and those behind it wait. Partitions do not wait for each other.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar

from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import ChannelInvalidStateError

from alta_common.messaging.delivery import Attempt, DeliveryProcess, Handler
from alta_common.messaging.handover import Handover
from alta_common.messaging.partitions import number_for, partition_of
from alta_common.messaging.suspects import Suspects

IN_PLACE_PAUSES = tuple(timedelta(seconds=seconds) for seconds in (1, 5, 15, 30, 60))

# RabbitMQ takes back what waits for its acknowledgement for 30 minutes, and with it the whole channel.
_HELD_AT_MOST = timedelta(minutes=25)
MOST_PARTITIONS = 64


@dataclass(frozen=True, slots=True)
class Ordered:
    """How a consumer keeps order: over how many partitions, and after which pauses a failing message is tried again.

    Within a partition one message is handled at a time, so partitions are what is done at once. A handler must be done
    within its time limit: it cannot work in slices (`UnfinishedError` only tries again after a pause).
    """

    TIME_LIMIT: ClassVar[timedelta] = timedelta(seconds=30)
    """A time limit for handlers of which several messages may be held."""

    partitions: int
    pauses: tuple[timedelta, ...] = IN_PLACE_PAUSES

    def __post_init__(self) -> None:
        """Refuse what cannot be declared."""
        if not 1 <= self.partitions <= MOST_PARTITIONS or not self.pauses:
            raise ValueError(f"an ordered consumer has 1 to {MOST_PARTITIONS} partitions, and a pause between attempts")

    def prefetch(self, time_limit: timedelta, wanted: int) -> int:
        """Return how many messages of a partition may be held: at worst each takes all its attempts, in turn.

        Raises `ValueError` when even one could be held longer than the broker allows.
        """
        longest = time_limit * (len(self.pauses) + 1) + sum(self.pauses, timedelta())
        if longest > _HELD_AT_MOST:
            raise ValueError(
                f"an ordered consumer may hold a message for {_HELD_AT_MOST}; with a time limit of {time_limit} and "
                f"{len(self.pauses)} more attempts it could take {longest}"
            )
        return min(wanted, _HELD_AT_MOST // longest)


class OrderedDelivery(DeliveryProcess):
    """Handles the messages of one partition, in the order in which they came."""

    def __init__(
        self,
        queue: str,
        handlers: Sequence[Handler[Any]],
        handover: Handover,
        *,
        pauses: tuple[timedelta, ...],
        time_limit: timedelta,
        suspects: Suspects,
        stopping: asyncio.Event,
    ) -> None:
        super().__init__(queue, handlers, handover, (), time_limit=time_limit, suspects=suspects)
        self._pauses = pauses
        self._stopping = stopping
        # Who waits for it gets it in the order of asking, which is the order of arrival.
        self._turn = asyncio.Lock()

    async def run(self, message: AbstractIncomingMessage) -> None:
        """Take one message to its end, once those before it have come to theirs.

        While the process stops, and when the connection was lost meanwhile, it is left: the broker gives it, and all
        behind it, to the next consumer in their old order.
        """
        async with self._turn:
            if not self._is_lost(message):
                await super().run(message)

    async def _take(self, attempt: Attempt) -> None:
        while not await self._try(attempt):
            await self._pause(attempt.number)
            if self._is_lost(attempt.message):
                return
            attempt = replace(attempt, number=attempt.number + 1)

    @property
    def _retries(self) -> int:
        return len(self._pauses)

    async def _retry(self, attempt: Attempt, event_type: str, error: Exception) -> bool:
        self._say_retried(attempt, event_type, error, self._pause_after(attempt.number))
        self._account.ended(event_type, "retried")
        return False

    async def _hand_on(self, attempt: Attempt) -> bool:
        self._account.ended(attempt.claimed_type, "handed_on")
        return False

    def _pause_after(self, number: int) -> timedelta:
        return self._pauses[min(number, len(self._pauses)) - 1]

    async def _pause(self, number: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause_after(number).total_seconds()):
                await self._stopping.wait()

    def _is_lost(self, message: AbstractIncomingMessage) -> bool:
        return self._stopping.is_set() or _is_lost(message)


class Dealer:
    """Deals the messages of a line out to their partitions: those of a partition one by one, so that each keeps order.

    What is dealt out twice (its acknowledgement was lost, or its connection) comes behind what was dealt out since; the
    first of the two is in order, and the second is what the inbox drops.
    """

    def __init__(self, queue: str, handover: Handover, partitions: int, stopping: asyncio.Event) -> None:
        self._queue = queue
        self._handover = handover
        self._turns = [asyncio.Lock() for _ in range(partitions)]
        self._stopping = stopping

    async def run(self, message: AbstractIncomingMessage) -> None:
        """Give one message to its partition, once those before it are there."""
        number = number_for(message.headers, len(self._turns))
        async with self._turns[number]:
            if not (self._stopping.is_set() or _is_lost(message)):
                await self._handover.to_exchange(message, "", partition_of(self._queue, number))


class Mover:
    """Moves what lies in one queue to another place, one by one, so that it keeps its order."""

    def __init__(self, handover: Handover, exchange: str, routing_key: str | None) -> None:
        self._handover = handover
        self._exchange = exchange
        self._routing_key = routing_key
        self._turn = asyncio.Lock()

    async def run(self, message: AbstractIncomingMessage) -> None:
        """Move one message."""
        async with self._turn:
            await self._handover.to_exchange(message, self._exchange, self._routing_key)


def _is_lost(message: AbstractIncomingMessage) -> bool:
    """Say whether the broker has taken a message back, because its channel has ended."""
    try:
        return message.channel.is_closed
    except ChannelInvalidStateError:
        return True
