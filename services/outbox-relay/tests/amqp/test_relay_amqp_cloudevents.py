import pamqp.frame
import pytest
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_rabbitmq_event

from alta_common.contracts.event import Event, message_headers
from alta_common.contracts.examples import EXAMPLES
from alta_common.outbox.headers import stored_headers
from alta_outbox_relay.amqp.encoding import Encoder


def frames_of(written: bytes) -> list:
    frames = []
    while written:
        size, _, frame = pamqp.frame.unmarshal(written)
        frames.append(frame)
        written = written[size:]
    return frames


TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@pytest.mark.parametrize("traceparent", [None, TRACEPARENT])
@pytest.mark.parametrize("correlation_id", [None, "request-1", "Ünï"])
@pytest.mark.parametrize("stored", [stored_headers, message_headers], ids=["now", "before"])
@pytest.mark.parametrize("event", EXAMPLES.values(), ids=lambda event: event.ROUTING_KEY)
def test_what_the_relay_writes_is_a_cloudevent_to_the_official_sdk(
    make_event, event: Event, stored, correlation_id: str | None, traceparent: str | None
) -> None:
    envelope = event.envelope(correlation_id=correlation_id, traceparent=traceparent)
    pending = make_event(
        event_id=event.event_id,
        event_type=event.TYPE,
        exchange=event.EXCHANGE,
        routing_key=event.ROUTING_KEY,
        aggregate_type=event.AGGREGATE,
        aggregate_id=event.aggregate_id,
        correlation_id=correlation_id,
        body=event.to_bytes(correlation_id=correlation_id, traceparent=traceparent),
        headers=stored(envelope),
    )

    publish, header, content = frames_of(Encoder(131_072).encode(pending))

    properties = header.properties
    read = from_rabbitmq_event(RabbitMQMessage(properties.headers, properties.content_type, content.value))
    assert (publish.exchange, publish.routing_key) == (event.EXCHANGE, event.ROUTING_KEY)
    assert (read.get_id(), read.get_type(), read.get_data()) == (str(event.event_id), event.TYPE, event.data())
    assert properties.headers == message_headers(envelope)
    assert properties.headers["cloudEvents:partitionkey"] == read.get_extension("partitionkey")
