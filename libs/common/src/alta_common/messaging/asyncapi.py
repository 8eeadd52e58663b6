"""AsyncAPI 3.0 documents of what each service publishes and hears.

The specification: https://www.asyncapi.com/docs/reference/specification/v3.0.0. Made from the registry of contracts
and the table of queues alone: nothing is connected to, nothing is started. That those tables say what the services do
is for the services' own tests to show.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from alta_common.contracts.event import CONTENT_TYPE, Event, message_headers
from alta_common.contracts.examples import EXAMPLES
from alta_common.contracts.registry import BY_ROUTING_KEY, EVENTS
from alta_common.messaging.queues import BROADCASTS, CONSUMERS, is_broadcast, queues_for

Document = dict[str, Any]

SERVICES = tuple(sorted({event.EXCHANGE.removesuffix(".events") for event in EVENTS} | set(CONSUMERS.values())))

_BINDING = "0.3.0"
_PERSISTENT = 2
_TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_CORRELATION_ID = "01958f3d2a1f7c3e8a510d6c2b9f4e76"
_DESCRIPTION = """Events are CloudEvents 1.0 in structured JSON over AMQP 0-9-1 (the CloudEvents binding for AMQP is one
for AMQP 1.0); headers mirror the attributes. Delivery is at least once: who hears an event minds its `id`. A version of
a contract, which is the last word of its routing key, only gains optional fields."""
_ATTRIBUTES = {
    "id": {"type": "string", "format": "uuid", "description": "The event's id; what comes twice has it twice."},
    "subject": {"type": "string", "description": "What the event is about: its kind and id."},
    "time": {"type": "string", "format": "date-time"},
    "partitionkey": {"type": "string", "description": "The aggregate's id: its events have an order."},
    "correlationid": {"type": "string", "description": "The request that caused it all."},
    "traceparent": {"type": "string", "description": "Where in the trace it was made (W3C)."},
}
_OPTIONAL = frozenset({"correlationid", "traceparent"})


def events_sent_by(service: str) -> list[type[Event]]:
    """Return what a service publishes."""
    return [event for event in EVENTS if event.source() == f"/alta/{service}"]


def events_heard_in(queue: str) -> list[type[Event]]:
    """Return what arrives in a queue."""
    return [event for event in EVENTS if queue in queues_for(event.ROUTING_KEY)]


def service_document(service: str, version: str) -> Document:
    """Return the document of one service. Raises `KeyError` when there is no such service."""
    if service not in SERVICES:
        raise KeyError(service)
    return _document(f"Alta Data: {service}", f"urn:alta:asyncapi:{service}", version, [service])


def system_document(version: str) -> Document:
    """Return one document of all services; its operations are named after them."""
    return _document("Alta Data", "urn:alta:asyncapi", version, SERVICES)


def _document(title: str, identifier: str, version: str, services: Iterable[str]) -> Document:
    channels: Document = {}
    operations: Document = {}
    used: dict[str, type[Event]] = {}
    for service in services:
        for name, channel, operation, events in _operations(service):
            channels.setdefault(channel, _channel(channel, events))
            operations[name] = operation | {
                "channel": {"$ref": f"#/channels/{channel}"},
                "messages": [{"$ref": f"#/channels/{channel}/messages/{event.ROUTING_KEY}"} for event in events],
            }
            used |= {event.ROUTING_KEY: event for event in events}
    return {
        "asyncapi": "3.0.0",
        "id": identifier,
        "info": {"title": title, "version": version, "description": _DESCRIPTION},
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "rabbitmq": {"host": "rabbitmq:5672", "pathname": "/", "protocol": "amqp", "protocolVersion": "0-9-1"}
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {key: _message(event) for key, event in used.items()},
            "schemas": {key: _data_schema(event) for key, event in used.items()},
        },
    }


def _operations(service: str) -> Iterator[tuple[str, str, Document, list[type[Event]]]]:
    """Yield name, channel, the operation itself and its events, of all that a service does."""
    for event in events_sent_by(service):
        # What every process hears may find none of them there; anything else must find its queue.
        mandatory = not is_broadcast(event.ROUTING_KEY)
        amqp = {"deliveryMode": _PERSISTENT, "mandatory": mandatory, "ack": False, "bindingVersion": _BINDING}
        operation: Document = {"action": "send", "summary": _summary(event), "bindings": {"amqp": amqp}}
        yield f"{service}.send.{event.ROUTING_KEY}", event.ROUTING_KEY, operation, [event]
    for queue, consumer in CONSUMERS.items():
        if consumer == service:
            operation = _receive(f"Handle what arrives in {queue}, each once.", acknowledges=True)
            yield f"{service}.receive.{queue}", queue, operation, events_heard_in(queue)
    for routing_key in BROADCASTS.get(service, ()):
        event = BY_ROUTING_KEY[routing_key]
        operation = _receive(f"Every process hears: {_summary(event)}", acknowledges=False)
        yield f"{service}.receive.{routing_key}", routing_key, operation, [event]


def _receive(summary: str, *, acknowledges: bool) -> Document:
    amqp = {"ack": acknowledges, "bindingVersion": _BINDING}
    return {"action": "receive", "summary": summary, "bindings": {"amqp": amqp}}


def _channel(name: str, events: list[type[Event]]) -> Document:
    messages = {event.ROUTING_KEY: {"$ref": f"#/components/messages/{event.ROUTING_KEY}"} for event in events}
    if name in CONSUMERS:
        queue = {"name": name, "durable": True, "exclusive": False, "autoDelete": False, "vhost": "/"}
        amqp: Document = {"is": "queue", "queue": queue, "bindingVersion": _BINDING}
    else:
        exchange = {"name": events[0].EXCHANGE, "type": "topic", "durable": True, "autoDelete": False, "vhost": "/"}
        amqp = {"is": "routingKey", "exchange": exchange, "bindingVersion": _BINDING}
    servers = [{"$ref": "#/servers/rabbitmq"}]
    return {"address": name, "servers": servers, "messages": messages, "bindings": {"amqp": amqp}}


def _message(event: type[Event]) -> Document:
    example = EXAMPLES[event.ROUTING_KEY]
    envelope = example.envelope(correlation_id=_CORRELATION_ID, traceparent=_TRACEPARENT)
    headers = message_headers(envelope)
    return {
        "name": event.TYPE,
        "title": event.__name__,
        "summary": _summary(event),
        "contentType": CONTENT_TYPE,
        "correlationId": {"location": "$message.payload#/correlationid"},
        "headers": {"type": "object", "properties": {name: {"type": "string"} for name in headers}},
        "payload": _envelope_schema(event),
        "bindings": {"amqp": {"messageType": event.TYPE, "bindingVersion": _BINDING}},
        "examples": [{"name": event.__name__, "headers": headers, "payload": envelope}],
    }


def _envelope_schema(event: type[Event]) -> Document:
    constants = {
        "specversion": "1.0",
        "type": event.TYPE,
        "source": event.source(),
        "datacontenttype": "application/json",
        "dataschema": f"urn:alta:{event.ROUTING_KEY}",
    }
    required = [*constants, *(name for name in _ATTRIBUTES if name not in _OPTIONAL), "data"]
    return {
        "type": "object",
        "required": required,
        "properties": {
            **{name: {"type": "string", "const": value} for name, value in constants.items()},
            **_ATTRIBUTES,
            "data": {"$ref": f"#/components/schemas/{event.ROUTING_KEY}"},
        },
    }


def _data_schema(event: type[Event]) -> Document:
    """Return the schema of the fact itself: what the envelope carries is not in it."""
    schema = event.model_json_schema(ref_template=f"#/components/schemas/{event.ROUTING_KEY}/$defs/{{model}}")
    properties = {name: one for name, one in schema["properties"].items() if name not in {"event_id", "occurred_at"}}
    return {**schema, "properties": properties}


def _summary(event: type[Event]) -> str:
    return (event.__doc__ or event.__name__).partition("\n")[0]
