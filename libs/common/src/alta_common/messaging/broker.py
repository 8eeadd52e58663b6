"""Being connected to RabbitMQ: waiting for it, and publishing with confirms over a connection of one's own."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TypeVar

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection, AbstractRobustChannel, AbstractRobustConnection
from aio_pika.exceptions import AMQPError, DeliveryError, PublishError
from yarl import URL

from alta_common.errors import UnavailableError
from alta_common.messaging.stopping import is_told_to_stop, stop_if_told
from alta_common.messaging.topology import TopologyConflictError

log = structlog.get_logger()

T = TypeVar("T")

RECONNECT_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 10.0
_CLOSE_SECONDS = 4.0
_LOOK_SECONDS = 0.1
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


@contextmanager
def raising_losses() -> Iterator[None]:
    """Raise `ConnectionError` instead of a cancellation that nobody asked for.

    The client library cancels what waits on a connection or a channel that dies; to a task that goes on for ever this
    must not look like being told to stop.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        if is_told_to_stop():
            raise
        raise ConnectionError("the connection was lost while the broker was asked") from error


async def close(connection: AbstractConnection) -> None:
    """Close a connection, within seconds. One that fails to is logged: whoever stops has more to do than this."""
    try:
        with raising_losses():
            async with asyncio.timeout(_CLOSE_SECONDS):
                await connection.close()
    except CONNECTION_ERRORS as error:
        log.warning("connection.not_closed", error=repr(error))


async def when_there(rabbitmq_url: str, connect: Callable[[], Awaitable[T]]) -> T:
    """Return what `connect` returns, as soon as the broker answers; ask again and again until then.

    A process that starts before its broker waits instead of crashing. What cannot get better (a wrong password) is
    asked again as well: somebody may be about to create the user.
    """
    pause = 0.2
    while True:
        try:
            with raising_losses():
                return await connect()
        except TopologyConflictError as error:
            # Waiting goes on: it is somebody's to migrate, and then everything goes on by itself.
            log.error("broker.topology_conflict", broker=address_of(rabbitmq_url), detail=str(error))  # noqa: TRY400 - the text says it all
        except CONNECTION_ERRORS as error:
            log.warning("broker.awaited", broker=address_of(rabbitmq_url), error=repr(error))
        # A client that fails at that very moment may raise its failure instead.
        stop_if_told()
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


class ConfirmedSender:
    """Publishes messages and returns when the broker has them safe.

    The connection is its own: a memory alarm stops what a shared one reads, acknowledgements included. While an alarm
    lasts (memory or disk) nothing is confirmed, and whoever gave up then and sent again would send one copy after the
    other. So the time for the confirm stands still meanwhile, and nothing more is written; without `waits_out_alarms`
    sending fails at once instead.
    """

    def __init__(
        self,
        rabbitmq_url: str,
        name: str,
        confirm_within: timedelta = timedelta(seconds=30),
        *,
        waits_out_alarms: bool = False,
    ) -> None:
        self._url = rabbitmq_url
        self._name = name
        self._confirm_seconds = confirm_within.total_seconds()
        self._waits_out_alarms = waits_out_alarms
        self._connection: AbstractRobustConnection | None = None
        self._channel: AbstractRobustChannel | None = None

    async def start(self) -> None:
        """Connect. Raises what the connection raises; see `when_there`."""
        self._connection = await aio_pika.connect_robust(
            named(self._url, self._name), timeout=10, reconnect_interval=RECONNECT_SECONDS
        )
        try:
            channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        except BaseException:
            # Nobody else knows of it, and it would connect again and again for as long as this process lives.
            await self.stop()
            raise
        self._channel = channel if isinstance(channel, AbstractRobustChannel) else None

    async def stop(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await close(self._connection)
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
        publishing = asyncio.create_task(self._publish(self._channel, exchange, routing_key, message))
        try:
            with raising_losses():
                await self._give_time(publishing)
                publishing.result()
        except PublishError as error:
            raise UnroutableError(f"no queue hears {routing_key} at {exchange}") from error
        except DeliveryError as error:
            raise BrokerUnavailableError(f"the broker refused a message to {exchange}: {error!r}") from error
        except TimeoutError as error:
            raise BrokerUnavailableError(f"no confirm within {self._confirm_seconds:g} s") from error
        except CONNECTION_ERRORS as error:
            raise BrokerUnavailableError(f"the connection to the broker failed: {error!r}") from error
        finally:
            publishing.cancel()

    async def _publish(
        self, channel: AbstractRobustChannel, exchange: str, routing_key: str, message: aio_pika.Message
    ) -> None:
        await self._ready(channel)
        while await self._is_blocked():
            if not self._waits_out_alarms:
                raise BrokerUnavailableError("the broker takes no messages at the moment, because of an alarm")
            await asyncio.sleep(_LOOK_SECONDS)
        target = await channel.get_exchange(exchange, ensure=False)
        await target.publish(message, routing_key, mandatory=True)

    async def _ready(self, channel: AbstractRobustChannel) -> None:
        """Return when the channel publishes: while it is being restored it would refuse to.

        The client library restores one that the broker has closed once, at once; where that fails, it is for us to.
        """
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RECONNECT_SECONDS):
                    await channel.ready()
                    return
            if channel.is_closed and self.is_connected:
                await channel.restore()

    async def _give_time(self, publishing: asyncio.Task[None]) -> None:
        """Return when it is published, or failed to be. Raises `TimeoutError`; an alarm's time does not count."""
        left = self._confirm_seconds
        while left > 0:
            # Looked at now and then: the broker tells of an alarm only after the first message that it does not take.
            moment = self._confirm_seconds / 10
            done, _ = await asyncio.wait({publishing}, timeout=moment)
            if done:
                return
            if not (self._waits_out_alarms and await self._is_blocked()):
                left -= moment
        raise TimeoutError

    async def _is_blocked(self) -> bool:
        """Say whether an alarm keeps the broker from reading what we send."""
        if self._connection is None or self._connection.transport is None or not self.is_connected:
            return False
        try:
            # The client library only lets one wait for the end of it; without one, this does not wait at all.
            async with asyncio.timeout(0):
                await self._connection.transport.ready()
        except TimeoutError:
            return True
        return False
