import ipaddress
import ssl
from datetime import timedelta
from pathlib import Path

import pamqp.frame
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pamqp import commands
from structlog.testing import capture_logs

from alta_common.clock import utc_now
from alta_common.testing import eventually
from alta_outbox_relay.amqp.address import Address
from alta_outbox_relay.amqp.connection import Connection
from alta_outbox_relay.amqp.errors import BrokerDeniedError, BrokerLostError, ProtocolError


class Nobody:
    """Owns a connection that never gets anywhere."""

    def settled(self) -> None:
        raise AssertionError("nothing was sent")

    def changed(self) -> None:
        """Nothing to do."""

    def ended(self) -> None:
        """Nothing to do."""


async def connect(url: str) -> None:
    connection = Connection(Address.parse(url, name="outbox-relay"), Nobody())
    try:
        await connection.open()
        assert connection.takes_more
    finally:
        await connection.close()


async def test_it_says_who_it_is_and_agrees_on_the_smaller(scripted) -> None:
    scripted.tune(frame_max=8192, heartbeat=30)

    await connect(scripted.url.replace("amqp://", "amqp://alta:s%20cret@") + "my%2Fhost?name=mine&heartbeat=40")

    (peer,) = scripted.peers
    start, tune, opened = peer.heard[:3]
    assert (start.mechanism, start.response) == ("PLAIN", "\0alta\0s cret")
    assert peer.properties["connection_name"] == "mine"
    wanted = {"authentication_failure_close", "basic.nack", "connection.blocked", "publisher_confirms"}
    assert wanted <= peer.properties["capabilities"].keys()
    assert (tune.frame_max, tune.heartbeat, opened.virtual_host) == (8192, 30, "my/host")


@pytest.mark.parametrize(("offered", "wanted", "agreed"), [(0, 40, 40), (30, 0, 30), (0, 0, 0), (60, 5, 5)])
async def test_either_side_may_want_heartbeats(scripted, offered: int, wanted: int, agreed: int) -> None:
    scripted.tune(frame_max=0, heartbeat=offered)

    await connect(f"{scripted.url}?heartbeat={wanted}")

    assert (scripted.peers[0].heard[1].heartbeat, scripted.peers[0].heard[1].frame_max) == (agreed, 131_072)


@pytest.mark.parametrize(
    "greeting",
    [
        b"AMQP\0\0\x09\x01",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\0" * 64,
        pamqp.frame.marshal(commands.Connection.OpenOk(), 0),
        pamqp.frame.marshal(commands.Basic.Ack(1), 1),
        # A table in a table in a table …
        b"\x01\0\0\0\0\x30\x06\0\x0a\0\x0a\0\x09" + b"\0\0\x2f\xf0\x01aF" * 1757 + b"\xce",
    ],
)
async def test_what_does_not_greet_like_a_broker_is_none(scripted, greeting: bytes) -> None:
    scripted.greeting = greeting

    with pytest.raises(ProtocolError):
        await connect(scripted.url + "?timeout=30")


async def test_a_broker_that_never_answers_is_given_up(scripted) -> None:
    scripted.greeting = b""

    with pytest.raises(TimeoutError):
        await connect(scripted.url + "?timeout=0.2")


async def test_a_broker_with_frames_too_small_or_another_login_is_refused(scripted) -> None:
    scripted.tune(frame_max=100)
    with pytest.raises(ProtocolError, match="100 bytes"):
        await connect(scripted.url)

    scripted.greeting = pamqp.frame.marshal(commands.Connection.Start(mechanisms="AMQPLAIN EXTERNAL"), 0)
    with pytest.raises(BrokerDeniedError, match="AMQPLAIN"):
        await connect(scripted.url)


@pytest.mark.parametrize("request_", [commands.Connection.StartOk, commands.Connection.Open, commands.Confirm.Select])
async def test_a_broker_that_hangs_up_while_connecting_is_lost(scripted, request_) -> None:
    scripted.answers[request_] = commands.Connection.Close(541, "INTERNAL_ERROR", 0, 0)

    with pytest.raises(BrokerLostError):
        await connect(scripted.url + "?timeout=30")


async def test_a_wrong_password_or_host_is_said_without_the_password(rabbitmq_url, run_publisher) -> None:
    user, host = rabbitmq_url.removeprefix("amqp://").split("@")
    name = user.partition(":")[0]
    with pytest.raises(BrokerDeniedError, match="ACCESS_REFUSED") as denied:
        await connect(f"amqp://{name}:wr0ng-passw0rd@{host}")
    assert "wr0ng" not in repr(denied.value)
    with pytest.raises(BrokerDeniedError, match="nowhere"):
        await connect(f"amqp://{user}@{host.partition('/')[0]}/nowhere")

    with capture_logs() as logs:
        async with run_publisher(f"amqp://{name}:wr0ng-passw0rd@{host}", connected=False):
            (line, *_) = await eventually(lambda: [one for one in logs if one["event"] == "broker.awaited"])
    assert "ACCESS_REFUSED" in line["error"]
    assert "wr0ng" not in repr(logs)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of localhost, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(utc_now() - timedelta(days=1))
        .not_valid_after(utc_now() + timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return path


async def test_tls_is_spoken_with_whom_it_trusts(make_scripted, certificate, run_publisher, make_events, heard) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    async with make_scripted().listening(tls) as broker:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(broker.url)
        await connect(f"{broker.url}?no_verify_ssl=1")

        async with run_publisher(f"{broker.url}?cafile={certificate}") as publisher:
            publisher.send(make_events(100, body=b"x" * 60_000), heard)
            await eventually(lambda: len(heard.confirmed_events) == 100)
