"""Every event has somebody who hears it, and no published contract changes unnoticed."""

import json
from pathlib import Path

import pytest

from alta_common.contracts.event import Event
from alta_common.contracts.registry import BY_ROUTING_KEY, EVENTS, EXCHANGES
from alta_common.messaging.topology import (
    BROADCASTS,
    QUEUES,
    RETRY_LADDER,
    dead_queue_of,
    exchange_of,
    is_broadcast,
    queues_for,
)

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.ROUTING_KEY)
def test_every_event_is_heard_in_a_queue_or_by_every_process_of_a_service(event: type[Event]) -> None:
    heard = [bool(queues_for(event.ROUTING_KEY)), is_broadcast(event.ROUTING_KEY)]
    assert heard.count(True) == 1, f"nobody hears {event.ROUTING_KEY}, or it is heard in two ways"
    assert exchange_of(event.ROUTING_KEY) == event.EXCHANGE


def test_every_binding_can_be_met_by_some_event() -> None:
    for queue, bindings in QUEUES.items():
        for binding in bindings:
            assert exchange_of(binding) in EXCHANGES
            assert any(queue in queues_for(event.ROUTING_KEY) for event in EVENTS), binding


def test_every_broadcast_is_an_event() -> None:
    for service, bindings in BROADCASTS.items():
        assert service in {"ocr", "transcription"}
        assert set(bindings) <= set(BY_ROUTING_KEY)


def test_routing_keys_are_of_one_event_each() -> None:
    assert len(BY_ROUTING_KEY) == len(EVENTS)


def test_queues_keep_the_names_that_operators_know() -> None:
    assert set(QUEUES) == {
        "ocr_queue",
        "transcription_queue",
        "email_queue",
        "webhook_queue",
        "projects_results_queue",
        "default",
    }
    assert dead_queue_of("ocr_queue") == "ocr_queue.dead"
    assert [rung.name for rung in RETRY_LADDER] == ["retry.5s", "retry.30s", "retry.5m", "retry.30m"]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.ROUTING_KEY)
def test_a_published_contract_is_as_it_was(event: type[Event]) -> None:
    """A published version only gains optional fields: change the snapshot by hand, and only so."""
    file = SNAPSHOTS / f"{event.ROUTING_KEY}.json"

    assert file.exists(), f"the new event {event.ROUTING_KEY} needs its snapshot {file}"
    assert json.loads(file.read_text()) == described(event)


def test_no_snapshot_is_left_of_an_event_that_is_gone() -> None:
    assert {file.stem for file in SNAPSHOTS.glob("*.json")} == set(BY_ROUTING_KEY)


def described(event: type[Event]) -> dict[str, object]:
    return {
        "type": event.TYPE,
        "exchange": event.EXCHANGE,
        "aggregate": event.AGGREGATE,
        "schema": event.model_json_schema(),
    }
