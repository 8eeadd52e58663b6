"""Being connected to RabbitMQ: waiting for it, and publishing with confirms over a connection of one's own."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import aio_pika
import structlog
from aio_pika.abc import AbstractRobustChannel, AbstractRobustConnection
from aio_pika.exceptions import AMQPError, DeliveryError, PublishError
from yarl import URL

from alta_common.errors import UnavailableError
from alta_common.messaging.topology import TopologyConflictError

log = structlog.get_logger()

T = TypeVar("T")

RECONNECT_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 10.0
CONNECTION_ERRORS = (AMQPError, OSError, TimeoutError, ConnectionError, RuntimeError)


class UnroutableError(UnavailableError):
    """No queue hears the routing key."""

    code = "unroutable"


class BrokerUnavailableError(UnavailableError):
    """The broker did not confirm the message."""

    code = "broker_unavailable"


def address_of(rabbitmq_url: str) -> str:
    """Return the broker's address without its password, for logs."""
    return str(URL(rabbitmq_url).with_password(None))


def named(rabbitmq_url: str, name: str) -> str:
    """Return the URL with the name that the broker shows for the connection."""
    return str(URL(rabbitmq_url).update_query(name=name))


async def when_there(rabbitmq_url: str, connect: Callable[[], Awaitable[T]]) -> T:
    """Return what `connect` returns, as soon as the broker answers; ask again and again until then.

    A process that starts before its broker waits instead of crashing. What cannot get better (a wrong password) is
    asked again as well: somebody may be about to create the user.
    """
    pause = 0.2
    while True:
        try:
            return await connect()
        except TopologyConflictError as error:
            # Waiting goes on: it is somebody's to migrate, and then everything goes on by itself.
            log.error("broker.topology_conflict", broker=address_of(rabbitmq_url), detail=str(error))  # noqa: TRY400 - the text says it all
        except CONNECTION_ERRORS as error:
            log.warning("broker.awaited", broker=address_of(rabbitmq_url), error=repr(error))
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


class ConfirmedSender:
    """Publishes messages and returns when the broker has them safe.

    The connection is its own: a memory alarm stops what a shared one reads, acknowledgements included.
    """

    def __init__(self, rabbitmq_url: str, name: str, confirm_within: timedelta = timedelta(seconds=30)) -> None:
        self._url = rabbitmq_url
        self._name = name
        self._confirm_seconds = confirm_within.total_seconds()
        self._connection: AbstractRobustConnection | None = None
        self._channel: AbstractRobustChannel | None = None

    async def start(self) -> None:
        """Connect. Raises what the connection raises; see `when_there`."""
        self._connection = await aio_pika.connect_robust(
            named(self._url, self._name), timeout=10, reconnect_interval=RECONNECT_SECONDS
        )
        channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        self._channel = channel if isinstance(channel, AbstractRobustChannel) else None

    async def stop(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = self._channel = None

    @property
    def is_connected(self) -> bool:
        """Say whether the broker is there."""
        return self._connection is not None and self._connection.connected.is_set()

    async def send(self, exchange: str, routing_key: str, message: aio_pika.Message) -> None:
        """Publish one message, persistent and mandatory.

        Raises `UnroutableError` when no queue takes it, `BrokerUnavailableError` when it was not confirmed in time:
        then it may or may not have arrived, and sending it again may make a duplicate.
        """
        if self._channel is None:
            raise BrokerUnavailableError("the connection to the broker was not started")
        try:
            async with asyncio.timeout(self._confirm_seconds):
                # A robust channel that is being restored refuses to publish; waiting for it is what we are here for.
                await self._channel.ready()
                target = await self._channel.get_exchange(exchange, ensure=False)
                await target.publish(message, routing_key, mandatory=True)
        except PublishError as error:
            raise UnroutableError(f"no queue hears {routing_key} at {exchange}") from error
        except DeliveryError as error:
            raise BrokerUnavailableError(f"the broker refused a message to {exchange}: {error!r}") from error
        except TimeoutError as error:
            raise BrokerUnavailableError(f"no confirm within {self._confirm_seconds:g} s") from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # The client library cancels what waits on a channel that dies; nobody asked us to stop.
            raise BrokerUnavailableError("the connection was lost before the confirm") from error
        except CONNECTION_ERRORS as error:
            raise BrokerUnavailableError(f"the connection to the broker failed: {error!r}") from error
