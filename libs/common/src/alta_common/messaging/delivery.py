"""One message's life in a consumer: read, handled, acknowledged; or tried again later; or dead."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

import structlog
from aio_pika.abc import AbstractIncomingMessage
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from alta_common.clock import to_rfc3339, utc_now
from alta_common.contracts.event import Event
from alta_common.errors import UnavailableError
from alta_common.messaging import envelope as names
from alta_common.messaging.broker import CONNECTION_ERRORS, ConfirmedSender
from alta_common.messaging.envelope import Envelope, attempt_of, copy_of, origin_of, slice_of
from alta_common.messaging.failures import Fate, UnfinishedError, UnknownEventError, code_of, fate_of
from alta_common.messaging.topology import DEAD_LETTER_EXCHANGE, RetryDelay
from alta_common.telemetry.context import bind_request, span
from alta_common.telemetry.metrics import exemplar, message_duration, messages_handled, messages_running, queue_wait

log = structlog.get_logger()

E = TypeVar("E", bound=Event)

_DEFAULT_EXCHANGE = ""
_MAX_ERROR_TEXT = 1000
_HAND_OVER_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Handler(Generic[E]):
    """What to do with one kind of event.

    `given_up` is called with the event and the last error before the message goes to the dead letters, so that a
    service can tell the owner. It must be safe to do twice; when it fails itself, the message is tried again.
    """

    event_type: type[E]
    handle: Callable[[E], Awaitable[object]]
    given_up: Callable[[E, Exception], Awaitable[object]] | None = None


class HandlerTimeoutError(UnavailableError):
    """The handler took longer than the broker lets a message wait for its acknowledgement."""

    code = "handler_timeout"


class DeliveryProcess:
    """Handles the messages of one queue. Every message is acknowledged, once its effect or its copy is safe."""

    def __init__(
        self,
        queue: str,
        handlers: Sequence[Handler[Any]],
        sender: ConfirmedSender,
        ladder: tuple[RetryDelay, ...],
        time_limit: timedelta,
    ) -> None:
        self._queue = queue
        self._handlers: Mapping[type[Event], Handler[Any]] = {one.event_type: one for one in handlers}
        self._sender = sender
        self._ladder = ladder
        self._limit = time_limit

    async def run(self, message: AbstractIncomingMessage) -> None:
        """Take one message to its end. Raises nothing but cancellation, which hands the message back."""
        with messages_running.labels(self._queue).track_inprogress():
            try:
                envelope = Envelope.read(message.body, message.headers)
            except Exception as error:  # noqa: BLE001 - a message that nobody can read must not stop the queue
                with bind_request(message.message_id or "unreadable"):
                    await self._bury(message, "unknown", error)
                return
            with bind_request(envelope.correlation_id), self._span(message, envelope) as process_span:
                await self._process(message, envelope, process_span)

    def _span(self, message: AbstractIncomingMessage, envelope: Envelope) -> Any:
        return span(
            f"process {self._queue}",
            traceparent=envelope.traceparent,
            kind=SpanKind.CONSUMER,
            attributes={
                "messaging.system": "rabbitmq",
                "messaging.operation.type": "process",
                "messaging.destination.name": self._queue,
                "messaging.message.id": envelope.event_id,
                "messaging.message.conversation_id": envelope.correlation_id,
                "messaging.message.body.size": len(message.body),
                "alta.event.type": str(envelope.attributes.get("type")),
                "alta.attempt": attempt_of(message.headers),
            },
        )

    async def _process(self, message: AbstractIncomingMessage, envelope: Envelope, process_span: Span) -> None:
        event: Event | None = None
        event_type = str(envelope.attributes.get("type"))[:64]
        started = time.perf_counter()
        try:
            event = envelope.event(origin_of(message)[1])
            event_type = event.TYPE
            await self._handle(event)
        except UnfinishedError:
            await self._hand_on(message, event_type)
        except Exception as error:  # noqa: BLE001 - the table of failures decides what it means
            process_span.record_exception(error)
            process_span.set_status(Status(StatusCode.ERROR, code_of(error)))
            await self._fail(message, event, event_type, error)
        else:
            await self._acknowledge(message)
            self._account(event_type, "handled")
            message_duration.labels(self._queue, event_type).observe(time.perf_counter() - started, exemplar())
            log.info(
                "message.handled",
                queue=self._queue,
                event_type=event_type,
                event_id=envelope.event_id,
                attempt=attempt_of(message.headers),
                duration_ms=round((time.perf_counter() - started) * 1000, 2),
            )

    async def _handle(self, event: Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is None:
            raise UnknownEventError(f"nobody handles {event.ROUTING_KEY} in {self._queue}")
        queue_wait.labels(self._queue).observe(max(0.0, (utc_now() - event.occurred_at).total_seconds()), exemplar())
        limit = asyncio.timeout(self._limit.total_seconds())
        try:
            async with limit:
                await handler.handle(event)
        except TimeoutError as error:
            if limit.expired():
                raise HandlerTimeoutError(f"the handler took more than {self._limit}") from error
            raise

    async def _fail(
        self, message: AbstractIncomingMessage, event: Event | None, event_type: str, error: Exception
    ) -> None:
        attempt = attempt_of(message.headers)
        if fate_of(error) is Fate.RETRY and attempt <= len(self._ladder):
            await self._retry(message, event_type, error, attempt)
            return
        if event is not None and not await self._gave_up(event, error):
            # The owner could not be told: that, at least, can be tried again, for as long as it takes.
            await self._retry(message, event_type, error, min(attempt, len(self._ladder)))
            return
        await self._bury(message, event_type, error)

    async def _gave_up(self, event: Event, error: Exception) -> bool:
        handler = self._handlers.get(type(event))
        if handler is None or handler.given_up is None:
            return True
        try:
            await handler.given_up(event, error)
        except Exception:
            log.exception("message.giving_up_failed", queue=self._queue, event_id=str(event.event_id))
            return False
        return True

    async def _retry(self, message: AbstractIncomingMessage, event_type: str, error: Exception, attempt: int) -> None:
        rung = self._ladder[attempt - 1]
        log.warning(
            "message.retried",
            queue=self._queue,
            event_type=event_type,
            message_id=message.message_id,
            attempt=attempt,
            retry_in_seconds=rung.delay.total_seconds(),
            code=code_of(error),
            error=_text(error),
            exc_info=None if isinstance(error, UnavailableError) else error,
        )
        headers = {names.ATTEMPT: attempt + 1, names.REASON: code_of(error), names.ERROR: _text(error)}
        await self._hand_over(message, rung.name, self._queue, headers)
        self._account(event_type, "retried")

    async def _hand_on(self, message: AbstractIncomingMessage, event_type: str) -> None:
        """Put a copy at the end of the queue: whoever waits gets a turn before the work goes on, here or elsewhere."""
        number = slice_of(message.headers)
        log.info(
            "message.handed_on", queue=self._queue, event_type=event_type, message_id=message.message_id, slice=number
        )
        await self._hand_over(message, _DEFAULT_EXCHANGE, self._queue, {names.SLICE: number + 1})
        self._account(event_type, "handed_on")

    async def _bury(self, message: AbstractIncomingMessage, event_type: str, error: Exception) -> None:
        log.error(
            "message.dead_lettered",
            queue=self._queue,
            event_type=event_type,
            message_id=message.message_id,
            attempt=attempt_of(message.headers),
            code=code_of(error),
            exc_info=error,
        )
        headers = {
            names.QUEUE: self._queue,
            names.REASON: code_of(error),
            names.ERROR: _text(error),
            names.FAILED_AT: to_rfc3339(utc_now()),
            names.ATTEMPT: attempt_of(message.headers),
        }
        # Published, not rejected: a rejected message would arrive without the reason.
        await self._hand_over(message, DEAD_LETTER_EXCHANGE, self._queue, headers)
        self._account(event_type, "dead_lettered")

    async def _hand_over(
        self, message: AbstractIncomingMessage, exchange: str, routing_key: str, headers: dict[str, Any]
    ) -> None:
        """Publish the copy, then acknowledge the original: a crash between the two makes two, never none.

        While the broker does not take the copy the original stays ours, unacknowledged.
        """
        copy = copy_of(message, headers)
        for failures in range(1_000_000):
            try:
                await self._sender.send(exchange, routing_key, copy)
                break
            except UnavailableError as error:
                log.warning("message.copy_refused", exchange=exchange, error=error.detail)
                await asyncio.sleep(_HAND_OVER_PAUSES[min(failures, len(_HAND_OVER_PAUSES) - 1)])
        await self._acknowledge(message)

    async def _acknowledge(self, message: AbstractIncomingMessage) -> None:
        try:
            await message.ack()
        except CONNECTION_ERRORS as error:
            # The broker will deliver it again; whoever handles it twice knows how (inbox, derived ids).
            log.warning("message.ack_lost", queue=self._queue, message_id=message.message_id, error=repr(error))

    def _account(self, event_type: str, outcome: str) -> None:
        messages_handled.labels(self._queue, event_type, outcome).inc()


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_MAX_ERROR_TEXT]
