from datetime import timedelta
from email import message_from_bytes, policy
from email.headerregistry import Address

import pytest

from alta_common.clock import utc_now
from alta_common.ids import new_id
from alta_notifications.mail.message import InvalidAddressError, address_of, new_message
from alta_notifications.mail.templates import Words
from alta_notifications.models.delivery import (
    LEASE,
    Delivery,
    DeliveryBusyError,
    DeliveryStatus,
    recipient_hash,
)
from alta_notifications.settings import SmtpSettings, StartTls

SENDER = Address("Alta Data", addr_spec="no-reply@alta.example")


def test_a_mail_has_what_mail_programs_look_for() -> None:
    event_id = new_id()
    words = Words("Grüße", "line\n", "<p>line</p>")

    mail = message_from_bytes(new_message(event_id, SENDER, "ada@example.org", words).as_bytes(), policy=policy.SMTP)

    assert str(mail["From"]) == "Alta Data <no-reply@alta.example>"
    assert str(mail["To"]) == "ada@example.org"
    assert str(mail["Subject"]) == "Grüße"
    assert mail["Message-ID"] == f"<{event_id}@alta.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime - utc_now() < timedelta(minutes=1)
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


def test_an_events_mail_always_has_the_same_message_id() -> None:
    event_id = new_id()
    words = Words("a", "b", "c")

    first = new_message(event_id, SENDER, "ada@example.org", words)
    second = new_message(event_id, SENDER, "ada@example.org", words)

    assert first["Message-ID"] == second["Message-ID"]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "a b@example.org",
        "ada@example.org\r\nBcc: victim@example.org",
        "ada@example.org\n",
        "ada@example.org, victim@example.org",
        "Ada <ada@example.org>",
        "ada@exa mple.org",
        "\x00@example.org",
        "grüße@example.org",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidAddressError):
        address_of(address)


@pytest.mark.parametrize("address", ["ada@example.org", "a.b+c@sub.example.org", "ada@localhost", "ada@[127.0.0.1]"])
def test_addresses_are_taken(address: str) -> None:
    assert address_of(address).addr_spec == address


def test_a_host_of_another_script_is_spelled_in_ascii() -> None:
    assert address_of("ada@exämple.org").addr_spec == "ada@xn--exmple-cua.org"


def a_delivery() -> Delivery:
    return Delivery(event_id=new_id(), status=DeliveryStatus.WAITING, attempts=0)


def test_a_mail_is_claimed_by_one_at_a_time() -> None:
    delivery, now = a_delivery(), utc_now()
    assert delivery.claim(now)

    with pytest.raises(DeliveryBusyError):
        delivery.claim(now + LEASE - timedelta(seconds=1))


def test_a_claim_whose_holder_died_ends_by_itself() -> None:
    delivery, now = a_delivery(), utc_now()
    delivery.claim(now)

    assert delivery.claim(now + LEASE)
    assert delivery.attempts == 2


def test_what_was_sent_or_refused_is_not_claimed_again() -> None:
    sent, refused = a_delivery(), a_delivery()
    for delivery in (sent, refused):
        delivery.claim(utc_now())
    sent.mark_sent(utc_now())
    refused.mark_refused("550 no such user")
    sent.mark_failed("the other one gave up")

    assert not sent.claim(utc_now())
    assert not refused.claim(utc_now())
    assert sent.status == DeliveryStatus.SENT


def test_what_failed_may_be_tried_again() -> None:
    delivery = a_delivery()
    delivery.claim(utc_now())
    delivery.mark_waiting("later")
    assert delivery.claim(utc_now())
    delivery.mark_failed("never")

    assert delivery.claim(utc_now())


def test_an_address_is_remembered_whatever_its_case() -> None:
    assert recipient_hash("Ada@Example.org ") == recipient_hash("ada@example.org")


@pytest.mark.parametrize(
    ("text", "meant"),
    [("auto", StartTls.AUTO), ("true", StartTls.REQUIRED), ("False", StartTls.NEVER), ("required", StartTls.REQUIRED)],
)
def test_starttls_is_read_as_operators_write_it(monkeypatch: pytest.MonkeyPatch, text: str, meant: StartTls) -> None:
    monkeypatch.setenv("SMTP_STARTTLS", text)

    assert SmtpSettings().smtp_starttls is meant


def test_a_sender_that_is_no_address_stops_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_FROM", "Alta Data")

    with pytest.raises(ValueError, match="must be an address"):
        SmtpSettings()
