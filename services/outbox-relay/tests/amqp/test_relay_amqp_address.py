import base64
import ssl

import pytest

from alta_outbox_relay.amqp.address import Address, Tls


def parse(url: str) -> Address:
    return Address.parse(url, name="outbox-relay")


def test_what_a_url_leaves_out_is_as_everywhere() -> None:
    address = parse("amqp://rabbit")

    assert (address.host, address.port, address.vhost) == ("rabbit", 5672, "/")
    assert (address.user, address.password, address.mechanism) == ("guest", "guest", "PLAIN")
    assert (address.name, address.heartbeat, address.timeout, address.tls) == ("outbox-relay", 60, 10, None)


def test_everything_can_be_said() -> None:
    address = parse("amqp://al%40ta:p%2Fa%3As%23s@[::1]:5673/my%2Fhost?name=mine&heartbeat=5&timeout=2.5&auth=external")

    assert (address.host, address.port, address.vhost) == ("::1", 5673, "my/host")
    assert (address.user, address.password, address.mechanism) == ("al@ta", "p/a:s#s", "EXTERNAL")
    assert (address.name, address.heartbeat, address.timeout) == ("mine", 5, 2.5)
    assert "p/a:s#s" not in repr(address)


def test_tls_is_told_whom_to_trust() -> None:
    files = "cafile=/ca.pem&capath=/cas&certfile=/cert.pem&keyfile=/key.pem"
    data = base64.urlsafe_b64encode(b"certificate").decode()

    address = parse(f"amqps://rabbit?{files}&cadata={data}&no_verify_ssl=1")

    assert address.port == 5671
    assert address.tls == Tls("/ca.pem", "/cas", b"certificate", "/cert.pem", "/key.pem", verify=False)
    assert parse("amqps://rabbit").tls == Tls(verify=True)
    assert Tls().context().verify_mode == ssl.CERT_REQUIRED
    unverified = Tls(verify=False).context()
    assert (unverified.verify_mode, unverified.check_hostname) == (ssl.CERT_NONE, False)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://rabbit/", "amqp://"),
        ("amqp:///vhost", "amqp://"),
        ("amqp://rabbit?heartbeat=often", "heartbeat=often"),
        ("amqp://rabbit?heartbeat=65536", "heartbeat=65536"),
        ("amqp://rabbit?timeout=-1", "timeout=-1"),
        ("amqp://rabbit?auth=amqplain", "auth=AMQPLAIN"),
    ],
)
def test_a_url_that_says_nonsense_is_refused(url: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        parse(url)
