"""One message's life in a consumer: read, handled, acknowledged; or tried again later; or dead."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import structlog
from aio_pika.abc import AbstractIncomingMessage
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from alta_common.clock import utc_now
from alta_common.contracts.event import Event
from alta_common.errors import UnavailableError
from alta_common.messaging.accounting import UNKNOWN, Account
from alta_common.messaging.envelope import Envelope, attempt_of, origin_of, queued_at, slice_of
from alta_common.messaging.failures import Fate, UnfinishedError, UnknownEventError, code_of, fate_of
from alta_common.messaging.handover import Handover, text_of
from alta_common.messaging.suspects import Suspects, deliveries_of, is_suspect
from alta_common.messaging.topology import RetryDelay
from alta_common.telemetry.context import bind_request, span
from alta_common.telemetry.metrics import exemplar

log = structlog.get_logger()

E = TypeVar("E", bound=Event)

_LONGEST_TYPE = 64


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


@dataclass(frozen=True, slots=True)
class Attempt:
    """A message that is being handled, for the `number`th time."""

    message: AbstractIncomingMessage
    envelope: Envelope
    number: int

    @property
    def claimed_type(self) -> str:
        """Return what the message says it is, cut to the length of a log's field."""
        return str(self.envelope.attributes.get("type"))[:_LONGEST_TYPE]


class DeliveryProcess:
    """Handles the messages of one queue. Every message is acknowledged, once its effect or its copy is safe."""

    def __init__(
        self,
        queue: str,
        handlers: Sequence[Handler[Any]],
        handover: Handover,
        ladder: tuple[RetryDelay, ...],
        *,
        time_limit: timedelta,
        suspects: Suspects,
    ) -> None:
        self._queue = queue
        self._suspects = suspects
        self._handlers: Mapping[type[Event], Handler[Any]] = {one.event_type: one for one in handlers}
        self._handover = handover
        self._ladder = ladder
        self._limit_seconds = time_limit.total_seconds()
        self._account = Account(queue)
        self._span_name = f"process {queue}"
        # Bound once: finding the configuration anew takes as long as writing the line.
        self._log = log.bind(queue=queue)

    async def run(self, message: AbstractIncomingMessage) -> None:
        """Take one message to its end. Raises nothing but cancellation, which hands the message back."""
        if not is_suspect(message):
            await self._run(message)
            return
        self._log.warning("message.suspected", message_id=message.message_id, deliveries=deliveries_of(message))
        async with self._suspects.turn():
            await self._run(message)

    async def _run(self, message: AbstractIncomingMessage) -> None:
        with self._account.running.track_inprogress():
            try:
                envelope = Envelope.read(message.body, message.headers)
            except Exception as error:  # noqa: BLE001 - a message that nobody can read must not stop the queue
                with bind_request(message.message_id or "unreadable"):
                    await self._bury(message, UNKNOWN, error, attempt_of(message.headers))
                return
            await self._take(Attempt(message, envelope, attempt_of(message.headers)))

    async def _take(self, attempt: Attempt) -> None:
        await self._try(attempt)

    async def _try(self, attempt: Attempt) -> bool:
        """Handle a message once; return whether it is done with here, as it is unless it is to be tried in place."""
        with bind_request(attempt.envelope.correlation_id), self._span(attempt) as process_span:
            event: Event | None = None
            started = time.perf_counter()
            try:
                event = attempt.envelope.event(origin_of(attempt.message)[1])
                await self._handle(event, queued_at(attempt.message.headers) or event.occurred_at)
            except UnfinishedError:
                return await self._hand_on(attempt)
            except Exception as error:  # noqa: BLE001 - the table of failures decides what it means
                return await self._fail(attempt, event, error, process_span)
            await self._handover.acknowledge(attempt.message)
            self._note_handled(attempt, event, time.perf_counter() - started)
            return True

    def _span(self, attempt: Attempt) -> AbstractContextManager[Span]:
        envelope = attempt.envelope
        attributes: dict[str, str | int | float | bool] = {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "process",
            "messaging.destination.name": self._queue,
            "messaging.message.id": envelope.event_id,
            "messaging.message.conversation_id": envelope.correlation_id,
            "alta.event.type": attempt.claimed_type,
        }
        if attempt.number > 1:
            attributes["alta.attempt"] = attempt.number
        return span(self._span_name, traceparent=envelope.traceparent, kind=SpanKind.CONSUMER, attributes=attributes)

    async def _handle(self, event: Event, since: datetime) -> None:
        handler = self._handlers.get(type(event))
        if handler is None:
            raise UnknownEventError(f"nobody handles {event.ROUTING_KEY} in {self._queue}")
        trace = exemplar()
        self._account.waited((utc_now() - since).total_seconds(), trace)
        started = time.perf_counter()
        limit = asyncio.timeout(self._limit_seconds)
        try:
            async with limit:
                await handler.handle(event)
        except TimeoutError as error:
            if limit.expired():
                raise HandlerTimeoutError(f"the handler took more than {self._limit_seconds:g} s") from error
            raise
        finally:
            self._account.took(event.TYPE, time.perf_counter() - started, trace)

    def _note_handled(self, attempt: Attempt, event: Event, seconds: float) -> None:
        self._account.ended(event.TYPE, "handled")
        self._log.info(
            "message.handled",
            event_type=event.TYPE,
            event_id=attempt.envelope.event_id,
            attempt=attempt.number,
            duration_ms=round(seconds * 1000, 2),
        )

    async def _fail(self, attempt: Attempt, event: Event | None, error: Exception, process_span: Span) -> bool:
        process_span.record_exception(error)
        process_span.set_status(Status(StatusCode.ERROR, code_of(error)))
        event_type = event.TYPE if event is not None else attempt.claimed_type
        self._account.failed(event_type, code_of(error))
        if fate_of(error) is Fate.RETRY and attempt.number <= self._retries:
            return await self._retry(attempt, event_type, error)
        if event is not None and not await self._gave_up(event, error):
            # The owner could not be told: that, at least, can be tried again, for as long as it takes.
            return await self._retry(attempt, event_type, error)
        await self._bury(attempt.message, event_type, error, attempt.number)
        return True

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

    @property
    def _retries(self) -> int:
        return len(self._ladder)

    async def _retry(self, attempt: Attempt, event_type: str, error: Exception) -> bool:
        number = min(attempt.number, len(self._ladder))
        rung = self._ladder[number - 1]
        self._say_retried(attempt, event_type, error, rung.delay)
        await self._handover.to_rung(attempt.message, rung, number + 1)
        self._account.ended(event_type, "retried")
        return True

    def _say_retried(self, attempt: Attempt, event_type: str, error: Exception, pause: timedelta) -> None:
        log.warning(
            "message.retried",
            queue=self._queue,
            event_type=event_type,
            message_id=attempt.message.message_id,
            attempt=attempt.number,
            retry_in_seconds=pause.total_seconds(),
            code=code_of(error),
            error=text_of(error),
            exc_info=None if isinstance(error, UnavailableError) else error,
        )

    async def _hand_on(self, attempt: Attempt) -> bool:
        """Put a copy at the end of the queue: whoever waits gets a turn before the work goes on, here or elsewhere."""
        log.info(
            "message.handed_on",
            queue=self._queue,
            event_type=attempt.claimed_type,
            message_id=attempt.message.message_id,
            slice=slice_of(attempt.message.headers),
        )
        await self._handover.to_end_of_queue(attempt.message)
        self._account.ended(attempt.claimed_type, "handed_on")
        return True

    async def _bury(self, message: AbstractIncomingMessage, event_type: str, error: Exception, number: int) -> None:
        log.error(
            "message.dead_lettered",
            queue=self._queue,
            event_type=event_type,
            message_id=message.message_id,
            attempt=number,
            code=code_of(error),
            exc_info=error,
        )
        await self._handover.to_dead_letters(message, error, number)
        self._account.ended(event_type, "dead_lettered")
