"""Publishing events directly, for services that have no outbox: their result's id derives from the request's."""

import time
from datetime import timedelta

from opentelemetry.trace import SpanKind

from alta_common.contracts.event import Event
from alta_common.messaging.broker import BrokerUnavailableError, ConfirmedSender, when_there
from alta_common.messaging.envelope import message_of
from alta_common.messaging.topology import declare_topology
from alta_common.telemetry.context import correlation_id, current_traceparent, span
from alta_common.telemetry.metrics import events_published, exemplar, publish_duration


class EventPublisher:
    """Publishes events of one service, each confirmed by the broker before `publish` returns."""

    def __init__(self, rabbitmq_url: str, service: str, *, confirm_within: timedelta = timedelta(seconds=30)) -> None:
        self._url = rabbitmq_url
        self._service = service
        self._sender = ConfirmedSender(rabbitmq_url, f"{service} publisher", confirm_within, waits_out_alarms=True)

    async def start(self) -> None:
        """Wait for the broker, and see to it that exchanges and queues are there."""
        await when_there(self._url, lambda: declare_topology(self._url))
        await when_there(self._url, self._sender.start)

    async def stop(self) -> None:
        """Close the connection."""
        await self._sender.stop()

    async def check(self) -> None:
        """Raise `BrokerUnavailableError` while there is no connection (readiness)."""
        if not self._sender.is_connected:
            raise BrokerUnavailableError("the publisher is not connected to the broker")

    async def publish(self, event: Event) -> None:
        """Publish an event with the present correlation id and trace.

        Returns when a queue holds it, however long an alarm of the broker lasts. Raises `UnavailableError` when that
        is not certain: publishing the same event (with the same id) again is right then. Raises `InvalidError` when it
        is larger than 64 KiB.
        """
        attributes: dict[str, str | int | float | bool] = {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "send",
            "messaging.destination.name": event.EXCHANGE,
            "messaging.rabbitmq.destination.routing_key": event.ROUTING_KEY,
            "messaging.message.id": str(event.event_id),
        }
        started = time.perf_counter()
        outcome = "failed"
        with span(f"send {event.EXCHANGE}", kind=SpanKind.PRODUCER, attributes=attributes):
            message = message_of(
                event, app_id=self._service, correlation_id=correlation_id(), traceparent=current_traceparent()
            )
            try:
                await self._sender.send(event.EXCHANGE, event.ROUTING_KEY, message)
                outcome = "confirmed"
            finally:
                events_published.labels(event.EXCHANGE, outcome).inc()
                publish_duration.labels(event.EXCHANGE).observe(time.perf_counter() - started, exemplar())
