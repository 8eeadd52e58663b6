import pamqp.frame
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from alta_outbox_relay.amqp.errors import ProtocolError
from alta_outbox_relay.amqp.frames import FrameReader

FRAMES = [
    (1, commands.Basic.Ack(1)),
    (1, commands.Basic.Return(312, "NO_ROUTE", "projects.events", "key")),
    (1, ContentHeader(0, 3, commands.Basic.Properties(message_id="1", headers={"a": {"b": [1, "c"]}}))),
    (1, ContentBody(b"abc")),
    (1, commands.Basic.Ack(2**63 - 1, True)),
    (0, Heartbeat()),
    (1, commands.Basic.Nack(7, True)),
    (0, commands.Connection.Blocked("low on memory")),
    (0, commands.Connection.Close(320, "CONNECTION_FORCED", 0, 0)),
]
STREAM = b"".join(pamqp.frame.marshal(frame, channel) for channel, frame in FRAMES)


class Said:
    """What a reader has told."""

    def __init__(self) -> None:
        self.all: list[object] = []
        self.reader = FrameReader(
            lambda tag, multiple: self.all.append((tag, multiple)),
            lambda frame: self.all.append(type(frame)),
        )


EXPECTED = [
    (1, False),
    commands.Basic.Return,
    ContentHeader,
    ContentBody,
    (2**63 - 1, True),
    Heartbeat,
    commands.Basic.Nack,
    commands.Connection.Blocked,
    commands.Connection.Close,
]


def test_frames_are_read_whatever_pieces_they_come_in() -> None:
    for size in range(1, len(STREAM) + 1):
        said = Said()
        for start in range(0, len(STREAM), size):
            said.reader.feed(STREAM[start : start + size])

        assert said.all == EXPECTED


@settings(max_examples=300)
@given(
    at=st.integers(0, len(STREAM) - 1),
    removed=st.integers(0, 20),
    inserted=st.binary(max_size=20),
    cut=st.integers(1, len(STREAM)),
)
def test_a_damaged_stream_is_an_error_of_the_protocol_or_none(at: int, removed: int, inserted: bytes, cut: int) -> None:
    damaged = STREAM[:at] + inserted + STREAM[at + removed :]

    said = Said()
    try:
        said.reader.feed(damaged[:cut])
        said.reader.feed(damaged[cut:])
    except ProtocolError:
        return
    assert len(said.all) <= len(EXPECTED) + 2


@settings(max_examples=200)
@given(
    st.sampled_from([b"", b"\x01\x00\x01\x00\x00\x00\x40", b"\x02\x00\x01\x00\x00\x00\x20"]), st.binary(max_size=200)
)
def test_noise_is_an_error_of_the_protocol_or_not_a_frame_yet(head: bytes, noise: bytes) -> None:
    said = Said()
    try:
        said.reader.feed(head + noise)
    except ProtocolError:
        return
    assert len(said.all) <= 1
