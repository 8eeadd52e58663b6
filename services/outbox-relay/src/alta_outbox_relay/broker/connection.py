"""A connection to RabbitMQ for one piece of work, and what its failures are called."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aio_pika
from aio_pika.abc import AbstractConnection

from alta_common.messaging.broker import CONNECTION_ERRORS, BrokerUnavailableError, address_of, named
from alta_common.messaging.stopping import is_told_to_stop

_CONNECT_SECONDS = 10


@contextmanager
def failures_named(rabbitmq_url: str) -> Iterator[None]:
    """Raise `BrokerUnavailableError` for whatever the connection raises inside the block."""
    try:
        yield
    except asyncio.CancelledError as error:
        if is_told_to_stop():
            raise
        # The client library cancels what waits on a channel that dies; nobody asked us to stop.
        raise BrokerUnavailableError(f"The connection to RabbitMQ ({address_of(rabbitmq_url)}) was lost.") from error
    except CONNECTION_ERRORS as error:
        said = str(error) or type(error).__name__
        raise BrokerUnavailableError(f"RabbitMQ ({address_of(rabbitmq_url)}) does not answer: {said}") from error


@asynccontextmanager
async def connected(rabbitmq_url: str, name: str) -> AsyncIterator[AbstractConnection]:
    """Give a connection for the time of the block. Raises `BrokerUnavailableError`."""
    with failures_named(rabbitmq_url):
        async with await aio_pika.connect(named(rabbitmq_url, name), timeout=_CONNECT_SECONDS) as connection:
            yield connection
