"""Where a message goes that is not handled for good: round again, to the end of its queue, or to the dead letters."""

import asyncio
from datetime import timedelta
from typing import Any

import structlog
from aio_pika.abc import AbstractIncomingMessage

from alta_common.clock import to_rfc3339, utc_now
from alta_common.errors import UnavailableError
from alta_common.messaging import envelope as names
from alta_common.messaging.broker import CONNECTION_ERRORS, ConfirmedSender, raising_losses
from alta_common.messaging.envelope import copy_of, slice_of
from alta_common.messaging.failures import code_of
from alta_common.messaging.topology import DEAD_LETTER_EXCHANGE, RetryDelay

log = structlog.get_logger()

_DEFAULT_EXCHANGE = ""
_MAX_ERROR_TEXT = 1000
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)


class Handover:
    """Publishes a copy of a message of `queue` elsewhere, then acknowledges the original.

    A crash between the two makes two, never none. While the broker does not take the copy the original stays ours,
    unacknowledged. Never a nack: RabbitMQ counts those toward the delivery limit up to 4.2, and not from 4.3 on.
    """

    def __init__(self, queue: str, sender: ConfirmedSender) -> None:
        self._queue = queue
        self._sender = sender

    async def to_rung(self, message: AbstractIncomingMessage, rung: RetryDelay, next_attempt: int) -> None:
        """Let it wait on a rung of the ladder; from there it comes back to its queue by itself."""
        # Not why: that would still be there when the broker itself gives the message up later, for another reason.
        await self._give(message, rung.name, self._queue, _queued({names.ATTEMPT: next_attempt}, rung.delay))

    async def to_end_of_queue(self, message: AbstractIncomingMessage) -> None:
        """Put it behind whoever waits, as the next slice of its work."""
        headers = _queued({names.SLICE: slice_of(message.headers) + 1})
        await self._give(message, _DEFAULT_EXCHANGE, self._queue, headers)

    async def to_dead_letters(self, message: AbstractIncomingMessage, error: Exception, attempt: int) -> None:
        """Lay it with the dead letters, where a person looks; its headers say why."""
        headers = {
            names.QUEUE: self._queue,
            names.REASON: code_of(error),
            names.ERROR: text_of(error),
            names.FAILED_AT: to_rfc3339(utc_now()),
            names.ATTEMPT: attempt,
        }
        # Published, not rejected: a rejected message would arrive without the reason.
        await self._give(message, DEAD_LETTER_EXCHANGE, self._queue, headers)

    async def to_exchange(self, message: AbstractIncomingMessage, exchange: str, routing_key: str | None) -> None:
        """Publish it to an exchange; without a routing key under the one that it has."""
        await self._give(message, exchange, routing_key or message.routing_key or "", {})

    async def acknowledge(self, message: AbstractIncomingMessage) -> None:
        """Tell the broker that the message is done with."""
        try:
            with raising_losses():
                await message.ack()
        except CONNECTION_ERRORS as error:
            # The broker will deliver it again; whoever handles it twice knows how (inbox, derived ids).
            log.warning("message.ack_lost", queue=self._queue, message_id=message.message_id, error=repr(error))

    async def _give(
        self, message: AbstractIncomingMessage, exchange: str, routing_key: str, headers: dict[str, Any]
    ) -> None:
        copy = copy_of(message, headers)
        for failures in range(1_000_000):
            try:
                await self._sender.send(exchange, routing_key, copy)
                break
            except UnavailableError as error:
                log.warning("message.copy_refused", exchange=exchange, error=error.detail)
                await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
        await self.acknowledge(message)


def _queued(headers: dict[str, Any], after: timedelta = timedelta()) -> dict[str, Any]:
    """Return the headers of a copy that comes into its queue after a while."""
    return {**headers, names.QUEUED_AT: round((utc_now() + after).timestamp() * 1000)}


def text_of(error: Exception) -> str:
    """Return what an error says, short enough for a header."""
    return f"{type(error).__name__}: {error}"[:_MAX_ERROR_TEXT]
