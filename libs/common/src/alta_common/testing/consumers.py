"""What a service consumes, beside what is said of it: the AsyncAPI documents are made from the latter."""

from collections.abc import Sequence
from typing import Any

from alta_common.contracts.registry import BY_ROUTING_KEY
from alta_common.messaging.asyncapi import events_heard_in
from alta_common.messaging.consumers import Consumer, Handler
from alta_common.messaging.queues import BROADCASTS, CONSUMERS


def assert_hears_what_is_documented(
    service: str, consumers: Sequence[Consumer], broadcasts: Sequence[Handler[Any]] = ()
) -> None:
    """Fail unless `service` has a handler for exactly what its AsyncAPI document says that it receives."""
    handled = {consumer.queue: {handler.event_type for handler in consumer.handlers} for consumer in consumers}
    documented = {queue: set(events_heard_in(queue)) for queue, consumer in CONSUMERS.items() if consumer == service}
    assert handled == documented
    assert {one.event_type for one in broadcasts} == {BY_ROUTING_KEY[key] for key in BROADCASTS.get(service, ())}
