"""Working on a queue of dead letters: everything that is looked at stays the broker's until it was dealt with.

Messages are taken without being acknowledged, and go back to their places when the work is over, however that ends.
One piece of work on a queue at a time: whoever works holds an exclusive queue, which is the broker's own lock and ends
with the connection. Taking counts as a delivery; dead queues have a delivery limit of a million for that reason.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.exceptions import ChannelLockedResource

from alta_common.clock import to_rfc3339, utc_now
from alta_common.errors import UnavailableError
from alta_common.messaging import envelope as names
from alta_common.messaging.broker import ConfirmedSender
from alta_outbox_relay.broker.connection import connected
from alta_outbox_relay.broker.reading import dead_letter_of, origin_of
from alta_outbox_relay.models.dead_letter import DeadLetter, DeadLettersBusyError

REPLAYED = "x-alta-replayed"

PATIENCE_SECONDS = 10.0
# Somebody waits for the answer; while an alarm lasts, there is none.
_CONFIRM = timedelta(seconds=10)
_LOOK_AGAIN_SECONDS = 0.2
# A message that was counted and does not come has been taken by somebody who knows nothing of our lock.
_MESSAGE_SECONDS = 15.0
_RETURN_SECONDS = 15.0
# What the message went through before it died; it begins anew.
_PAST = (names.ATTEMPT, names.SLICE, names.REASON, names.ERROR, names.FAILED_AT, names.QUEUE)


@dataclass(frozen=True, slots=True)
class Taken:
    """A dead letter in our hands."""

    letter: DeadLetter
    message: AbstractIncomingMessage


class DeadLetterBox:
    """A queue of dead letters while it is worked on; see `opened`."""

    def __init__(self, name: str, ready: int, channel: AbstractChannel, sender: ConfirmedSender) -> None:
        self.name = name
        self.ready = ready
        """How many messages there were when the work began."""
        self.removed = 0
        self._channel = channel
        self._sender = sender
        self._is_sending = False

    async def look(self, at_most: int) -> AsyncIterator[Taken]:
        """Take up to `at_most` of the messages that were there when the work began, the oldest first. Call it once."""
        expected = min(self.ready, at_most)
        if not expected:
            return
        arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        await self._channel.set_qos(prefetch_count=expected)
        queue = await self._channel.get_queue(self.name, ensure=False)
        await queue.consume(arrived.put)
        for _ in range(expected):
            try:
                async with asyncio.timeout(_MESSAGE_SECONDS):
                    message = await arrived.get()
            except TimeoutError:
                return
            yield Taken(dead_letter_of(self.name, message), message)

    async def remove(self, letters: Sequence[Taken]) -> None:
        """Take messages out for good."""
        for taken in letters:
            await taken.message.ack()
            self.removed += 1

    async def replay(self, letters: Sequence[Taken], queue: str, operator: str) -> UnavailableError | None:
        """Publish copies to `queue`, and remove what the broker has confirmed; return why if it was not all of them.

        A crash between the two makes a duplicate, never a loss.
        """
        if not self._is_sending:
            # Once: a connection that is lost later comes back by itself, and what is sent meanwhile waits for it.
            await self._sender.start()
            self._is_sending = True
        sent = await asyncio.gather(*(self._send(taken, queue, operator) for taken in letters))
        confirmed = [taken for taken, error in zip(letters, sent, strict=True) if error is None]
        await self.remove(confirmed)
        return next((error for error in sent if error is not None), None)

    async def _send(self, taken: Taken, queue: str, operator: str) -> UnavailableError | None:
        try:
            await self._sender.send("", queue, _copy_of(taken.message, operator))
        except UnavailableError as error:
            return error
        return None


@asynccontextmanager
async def opened(rabbitmq_url: str, name: str, *, patience: float = PATIENCE_SECONDS) -> AsyncIterator[DeadLetterBox]:
    """Work on the dead queue `name`. What was taken and not removed is back in the queue when the block has ended.

    Raises `DeadLettersBusyError` while somebody else works on it, `BrokerUnavailableError` when the broker is away.
    """
    # Publishing goes over a connection of its own: a memory alarm stops what a shared one reads, acknowledgements too.
    sender = ConfirmedSender(rabbitmq_url, "outbox-admin replay", _CONFIRM)
    async with connected(rabbitmq_url, f"outbox-admin {name}") as connection:
        lock = await _lock(connection, name, patience)
        try:
            channel = await connection.channel()
            box = DeadLetterBox(name, await ready_in(connection, name), channel, sender)
            try:
                yield box
            finally:
                # Closing is what keeps the order: messages that are handed back one by one may overtake each other.
                await channel.close()
                await _until_returned(connection, name, box.ready - box.removed)
        finally:
            await sender.stop()
        # It would go with the connection, but somewhat later: whoever comes next should find it gone.
        await lock.delete(if_unused=False, if_empty=False)


async def ready_in(connection: AbstractConnection, name: str) -> int:
    """Return how many messages wait in a queue; none in one that does not exist."""
    channel = await connection.channel()
    try:
        queue = await channel.declare_queue(name, passive=True)
    except ChannelNotFoundEntity:
        return 0
    await channel.close()
    return queue.declaration_result.message_count or 0


async def _lock(connection: AbstractConnection, name: str, patience: float) -> AbstractQueue:
    deadline = time.monotonic() + patience
    while True:
        channel = await connection.channel()
        try:
            # Of the connection, gone with it; classic, because a quorum queue cannot be exclusive.
            arguments: dict[str, Any] = {"x-queue-type": "classic"}
            return await channel.declare_queue(f"alta.ops.{name}", exclusive=True, arguments=arguments)
        except ChannelLockedResource:
            if time.monotonic() >= deadline:
                raise DeadLettersBusyError(
                    f"Somebody else is working on {name} at the moment; try again when they have finished."
                ) from None
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def _until_returned(connection: AbstractConnection, name: str, expected: int) -> None:
    """Wait until what we held is back, so that whoever looks next sees all of it."""
    deadline = time.monotonic() + _RETURN_SECONDS
    while await ready_in(connection, name) < expected and time.monotonic() < deadline:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(_LOOK_AGAIN_SECONDS / 10)


def _copy_of(message: AbstractIncomingMessage, operator: str) -> aio_pika.Message:
    exchange, routing_key = origin_of(message)
    copy = names.copy_of(message, {names.EXCHANGE: exchange, names.ROUTING_KEY: routing_key})
    for name in _PAST:
        copy.headers.pop(name, None)
    copy.headers[REPLAYED] = f"{operator} {to_rfc3339(utc_now())}"
    return copy
