import string
from datetime import UTC, datetime, timedelta, timezone

import pamqp.frame
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from alta_common.outbox.headers import headers_of
from alta_outbox_relay.amqp.encoding import Encoder
from alta_outbox_relay.amqp.errors import FaultyEventError


def by_pamqp(event, frame_max: int = 131_072) -> bytes:
    """The same event as pamqp writes it."""
    properties = commands.Basic.Properties(
        content_type="application/cloudevents+json",
        headers=headers_of(event, event.headers),
        delivery_mode=2,
        correlation_id=event.correlation_id,
        message_id=str(event.event_id),
        timestamp=event.created_at,
        message_type=event.event_type,
        app_id=event.exchange.removesuffix(".events"),
    )
    mandatory = event.routing_key != "projects.document.ocr_cancelled.v1"
    publish = commands.Basic.Publish(0, event.exchange, event.routing_key, mandatory)
    frames = [publish, ContentHeader(body_size=len(event.body), properties=properties)]
    most = frame_max - 8
    frames += [ContentBody(event.body[start : start + most]) for start in range(0, len(event.body), most)]
    return b"".join(pamqp.frame.marshal(frame, 1) for frame in frames)


names = st.text(string.ascii_lowercase + ":-é漢", min_size=1, max_size=30)
values = st.text(max_size=300) | st.text(string.printable, max_size=140)
headers = st.dictionaries(names, values, max_size=12) | st.fixed_dictionaries(
    {"cloudEvents:time": values}, optional={"traceparent": values}
)


@settings(max_examples=150)
@given(
    headers=headers,
    correlation_id=st.none() | st.text(max_size=60) | st.text(string.printable, min_size=100, max_size=200),
    routing_key=st.sampled_from(["", "projects.document.ocr_cancelled.v1"]) | st.text(max_size=60),
    event_type=st.text(max_size=60),
    aggregate_type=st.text(string.ascii_lowercase, max_size=140) | st.text(max_size=60),
    exchange=st.sampled_from(["projects.events", "identity.events", "ocr.events"]),
    body=st.binary(max_size=300),
    created_at=st.integers(0, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
)
def test_an_event_is_written_as_pamqp_writes_it(make_event, **values) -> None:
    encoder = Encoder(131_072)
    event = make_event(**values)

    # Twice: an encoder remembers what it has met.
    assert encoder.encode(event) == encoder.encode(event) == by_pamqp(event)


@pytest.mark.parametrize("length", [0, 1, 126, 127, 128, 254, 255])
def test_lengths_are_written_right(make_event, length: int) -> None:
    encoder = Encoder(131_072)
    for text in ("x" * length, "é" * (length // 2)):
        known = {"cloudEvents:time": text, "traceparent": text}
        for headers in ({"name": text}, known):
            values = {"correlation_id": text, "event_type": text, "routing_key": text, "aggregate_type": text}
            event = make_event(headers=headers, **values)

            assert encoder.encode(event) == encoder.encode(event) == by_pamqp(event)


@pytest.mark.parametrize("size", [0, 1, 4087, 4088, 4089, 8176, 8177, 65_536])
def test_a_body_is_cut_into_frames_that_fit(make_event, size: int) -> None:
    event = make_event(body=bytes(range(256)) * 256)
    event = make_event(body=event.body[:size])

    assert Encoder(4096).encode(event) == by_pamqp(event, 4096)


def test_a_time_is_written_in_whole_seconds_whatever_its_zone(make_event) -> None:
    event = make_event(created_at=datetime(2026, 11, 24, 3, 0, 0, 999_999, timezone(timedelta(hours=5, minutes=30))))

    assert Encoder(131_072).encode(event) == by_pamqp(event)


def test_an_encoder_forgets_when_it_has_met_too_much(make_event) -> None:
    encoder = Encoder(131_072)
    for number in range(2500):
        event = make_event(routing_key=f"key.{number}", headers={f"name {number}": "value"})

        assert encoder.encode(event) == by_pamqp(event)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"exchange": "unknown.events"}, "'unknown.events' is not one of ours"),
        ({"body": b"x" * 65_537}, "65537 bytes"),
        ({"routing_key": "k" * 256}, "routing key has more than 255 bytes"),
        ({"routing_key": "é" * 128}, "routing key has more than 255 bytes"),
        ({"event_type": "t" * 256}, "type has more than 255 bytes"),
        ({"correlation_id": "c" * 256}, "correlation id has more than 255 bytes"),
        ({"headers": {"h" * 129: "x"}}, "more than 128 bytes"),
        ({"headers": {"é" * 65: "x"}}, "more than 128 bytes"),
        ({"headers": {"name": 5}}, "cannot be written as AMQP"),
        ({"headers": {"name": ["x"]}}, "cannot be written as AMQP"),
        ({"headers": {"name": {}}}, "cannot be written as AMQP"),
        ({"headers": {"name": None}}, "cannot be written as AMQP"),
        ({"headers": {"cloudEvents:time": 5}}, "cannot be written as AMQP"),
        ({"headers": {"cloudEvents:time": "", "traceparent": ["x"]}}, "cannot be written as AMQP"),
        ({"headers": ["cloudEvents:time"]}, "cannot be written as AMQP"),
        ({"headers": {"name": "\ud800"}}, "cannot be written as AMQP"),
        ({"headers": None}, "cannot be written as AMQP"),
        ({"headers": {"CC": "elsewhere"}}, "would send it elsewhere"),
        ({"headers": {f"{number}": "x" * 1000 for number in range(200)}}, "bytes of headers are too many"),
        ({"created_at": datetime(1960, 1, 1, tzinfo=UTC)}, "cannot be written as AMQP"),
    ],
)
def test_what_cannot_be_a_message_is_the_events_own_fault(make_event, changes, why: str) -> None:
    encoder = Encoder(131_072)
    encoder.encode(make_event(headers={"name": "known"}))

    with pytest.raises(FaultyEventError, match=why):
        encoder.encode(make_event(**changes))
