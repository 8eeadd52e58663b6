"""Every message that we publish is a CloudEvent to the official SDK, through its own binding for RabbitMQ."""

import re
from datetime import timedelta
from types import SimpleNamespace

import orjson
import pytest
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_rabbitmq_event
from cloudevents.core.v1.event import CloudEvent

from alta_common.contracts.event import Event
from alta_common.contracts.examples import EXAMPLES
from alta_common.contracts.registry import EVENTS
from alta_common.messaging.envelope import Envelope, message_of
from alta_common.outbox.headers import headers_of
from alta_common.outbox.writer import _row

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
# CloudEvents 1.0.2, "Attribute naming convention": lower-case letters and digits, and no more than 20 of them.
ATTRIBUTE = re.compile(r"[a-z0-9]{1,20}")

each = pytest.mark.parametrize("contract", EVENTS, ids=lambda event: event.ROUTING_KEY)


def as_published(event: Event) -> RabbitMQMessage:
    """What `EventPublisher` sends."""
    message = message_of(event, app_id="tests", correlation_id="request-1", traceparent=TRACEPARENT)
    return RabbitMQMessage(dict(message.headers), message.content_type, message.body)


def as_stored(event: Event) -> RabbitMQMessage:
    """What the outbox keeps, and the relay sends."""
    *values, body, headers = _row(event, "request-1", TRACEPARENT)
    names = ("event_id", "event_type", "exchange", "routing_key", "aggregate_type", "aggregate_id", "shard")
    columns = SimpleNamespace(**dict(zip(names, values, strict=True)), correlation_id="request-1")
    return RabbitMQMessage(headers_of(columns, orjson.loads(headers)), "application/cloudevents+json", body)


@each
def test_the_sdk_reads_what_is_published_and_what_the_outbox_keeps(contract: type[Event]) -> None:
    event = EXAMPLES[contract.ROUTING_KEY]
    for message in (as_published(event), as_stored(event)):
        read = from_rabbitmq_event(message)

        assert isinstance(read, CloudEvent)
        assert (read.get_specversion(), read.get_id(), read.get_type()) == ("1.0", str(event.event_id), event.TYPE)
        assert read.get_source() == f"/alta/{event.EXCHANGE.removesuffix('.events')}"
        assert read.get_subject() == f"{event.AGGREGATE}/{event.aggregate_id}"
        assert abs(read.get_time() - event.occurred_at) < timedelta(milliseconds=1)
        assert (read.get_datacontenttype(), read.get_dataschema()) == (
            "application/json",
            f"urn:alta:{event.ROUTING_KEY}",
        )
        assert read.get_extension("partitionkey") == str(event.aggregate_id)
        assert read.get_extension("correlationid") == "request-1"
        assert read.get_extension("traceparent") == TRACEPARENT
        assert read.get_data() == event.data()


@each
def test_attributes_are_named_as_the_specification_asks(contract: type[Event]) -> None:
    envelope = orjson.loads(as_published(EXAMPLES[contract.ROUTING_KEY]).body)

    assert [name for name in envelope if name != "data" and not ATTRIBUTE.fullmatch(name)] == []


@each
def test_headers_say_what_the_envelope_says(contract: type[Event]) -> None:
    event = EXAMPLES[contract.ROUTING_KEY]
    message = as_published(event)
    assert message.headers == as_stored(event).headers

    envelope = orjson.loads(message.body)
    mirrored = {name.removeprefix("cloudEvents:"): value for name, value in message.headers.items()}
    assert mirrored == {name: envelope[name] for name in mirrored}
    assert {
        "id",
        "type",
        "source",
        "time",
        "subject",
        "partitionkey",
        "correlationid",
        "traceparent",
    } <= mirrored.keys()


@each
def test_what_was_published_is_read_back(contract: type[Event]) -> None:
    event = EXAMPLES[contract.ROUTING_KEY]
    message = as_published(event)

    read = Envelope.read(message.body, message.headers).event(event.ROUTING_KEY)

    assert type(read) is contract
    assert read.data() == event.data()
