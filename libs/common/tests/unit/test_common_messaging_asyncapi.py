"""The AsyncAPI documents: valid to a reader that is not ours, whole, and true to what is published."""

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from faststream.specification.asyncapi.v3_0_0.schema.schema import ApplicationSchema

from alta_common.contracts.event import Event
from alta_common.contracts.examples import EXAMPLES
from alta_common.contracts.registry import EVENTS
from alta_common.messaging.asyncapi import SERVICES, service_document, system_document
from alta_common.messaging.queues import BROADCASTS, CONSUMERS, QUEUES, queues_for

DOCUMENTS = {**{name: service_document(name, "1.2.3") for name in SERVICES}, "system": system_document("1.2.3")}

each = pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
        for inner in value.values():
            yield from refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs(inner)


def followed(document: Any, ref: str) -> Any:
    for step in ref.removeprefix("#/").split("/"):
        document = document[step]
    return document


@each
def test_faststream_reads_it_and_nothing_of_it_gets_lost(document: Any) -> None:
    read = ApplicationSchema.model_validate(document)

    kept = read.model_dump(mode="json", by_alias=True, exclude_none=True)
    for part in ("channels", "operations", "servers"):
        assert kept[part].keys() == document[part].keys()
    for name, channel in document["channels"].items():
        assert kept["channels"][name]["address"] == channel["address"]
        assert kept["channels"][name]["bindings"]["amqp"]["is"] == channel["bindings"]["amqp"]["is"]
    assert {name: one["action"] for name, one in kept["operations"].items()} == {
        name: one["action"] for name, one in document["operations"].items()
    }


@each
def test_every_reference_leads_somewhere(document: Any) -> None:
    found = list(refs(document))

    assert found
    for ref in found:
        assert followed(document, ref)


@each
def test_names_are_such_as_the_specification_allows(document: Any) -> None:
    components = document["components"]
    for name in (*components["messages"], *components["schemas"], *document["servers"]):
        assert re.fullmatch(r"[\w\d.\-_]+", name)
    for operation in document["operations"].values():
        # Section "Operation Object": an operation's messages are some of its channel's.
        channel = followed(document, operation["channel"]["$ref"])
        assert {ref["$ref"].rsplit("/", 1)[1] for ref in operation["messages"]} <= channel["messages"].keys()


def test_every_event_is_sent_by_its_service_and_received_by_whoever_hears_it() -> None:
    system = DOCUMENTS["system"]
    for event in EVENTS:
        publisher = event.EXCHANGE.removesuffix(".events")
        sent = system["operations"][f"{publisher}.send.{event.ROUTING_KEY}"]
        assert sent["action"] == "send"
        for queue in set(queues_for(event.ROUTING_KEY)) & CONSUMERS.keys():
            received = system["operations"][f"{CONSUMERS[queue]}.receive.{queue}"]
            assert {"$ref": f"#/channels/{queue}/messages/{event.ROUTING_KEY}"} in received["messages"]
    for service, routing_keys in BROADCASTS.items():
        for routing_key in routing_keys:
            assert system["operations"][f"{service}.receive.{routing_key}"]["action"] == "receive"
    assert CONSUMERS.keys() <= QUEUES.keys()


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.ROUTING_KEY)
def test_a_message_is_described_as_it_is_published(event: type[Event]) -> None:
    document = DOCUMENTS["system"]
    message = document["components"]["messages"][event.ROUTING_KEY]
    (example,) = message["examples"]
    payload = message["payload"]
    data = followed(document, payload["properties"]["data"]["$ref"])

    # What is said of the envelope holds for what is published, and nothing in that is left unsaid.
    published = orjson.loads(EXAMPLES[event.ROUTING_KEY].to_bytes(correlation_id="1", traceparent="00-1-1-01"))
    assert published.keys() == payload["properties"].keys() == example["payload"].keys()
    assert (
        set(payload["required"]) <= EXAMPLES[event.ROUTING_KEY].envelope(correlation_id=None, traceparent=None).keys()
    )
    constants = {name: one["const"] for name, one in payload["properties"].items() if "const" in one}
    assert constants == {name: published[name] for name in constants}
    assert constants["type"] == event.TYPE
    assert published["data"].keys() == data["properties"].keys()
    assert example["headers"].keys() == message["headers"]["properties"].keys()


def test_there_is_none_of_an_unknown_service() -> None:
    with pytest.raises(KeyError):
        service_document("nobody", "1")


def test_making_documents_takes_no_broker_and_no_database() -> None:
    script = (
        "import sys; from alta_common.messaging.asyncapi import system_document; system_document('1');"
        "print([name for name in ('aio_pika', 'sqlalchemy', 'asyncpg', 'faststream') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "[]"
