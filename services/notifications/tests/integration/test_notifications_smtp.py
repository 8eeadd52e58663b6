from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from alta_common.ids import new_id
from alta_notifications.mail.message import new_message
from alta_notifications.mail.smtp import MailRefusedError, MailServerError, SmtpMailer
from alta_notifications.mail.templates import Words
from alta_notifications.settings import SmtpSettings, StartTls


def a_mail(to: str = "ada@example.org") -> EmailMessage:
    return new_message(new_id(), Address("Alta", addr_spec="a@alta.example"), to, Words("Grüße", "böse\n", "<p>ö</p>"))


def mailer(port: int, **settings: Any) -> SmtpMailer:
    return SmtpMailer(SmtpSettings(smtp_host="127.0.0.1", smtp_port=port, **settings))


async def test_a_mail_arrives_as_it_was_written(mail_server) -> None:
    await mailer(mail_server.port).send(a_mail())

    (mail,) = mail_server.mails
    assert str(mail["Subject"]) == "Grüße"
    assert mail.get_body(("plain",)).get_content().strip() == "böse"
    assert mail.get_body(("html",)).get_content().strip() == "<p>ö</p>"


async def test_a_goodbye_that_fails_does_not_unsend_a_mail(mail_server) -> None:
    mail_server.hangs_up_after_data = True

    await mailer(mail_server.port).send(a_mail())

    assert len(mail_server.mails) == 1


@pytest.mark.parametrize("answer", ["550 no such user", "553 mailbox name not allowed"])
async def test_an_address_that_does_not_exist_is_refused_for_good(mail_server, answer: str) -> None:
    mail_server.recipient_answers = [answer]

    with pytest.raises(MailRefusedError, match=answer):
        await mailer(mail_server.port).send(a_mail())


async def test_a_mail_that_the_server_will_not_have_is_refused_for_good(mail_server) -> None:
    mail_server.data_answers = ["554 looks like spam"]

    with pytest.raises(MailRefusedError, match="554 looks like spam"):
        await mailer(mail_server.port).send(a_mail())


async def test_a_full_mailbox_may_have_room_later(mail_server) -> None:
    mail_server.recipient_answers = ["452 mailbox full"]
    mail_server.data_answers = ["451 try later"]

    for _ in range(2):
        with pytest.raises(MailServerError):
            await mailer(mail_server.port).send(a_mail())
    await mailer(mail_server.port).send(a_mail())


async def test_a_server_that_is_away_may_come_back() -> None:
    with pytest.raises(MailServerError, match=r"127\.0\.0\.1:9"):
        await mailer(9).send(a_mail())


async def test_a_server_that_hangs_is_not_waited_for(mail_server) -> None:
    mail_server.gate.clear()

    with pytest.raises(MailServerError):
        await mailer(mail_server.port, smtp_timeout_seconds=0.3).send(a_mail())


async def test_a_password_goes_over_an_encrypted_connection(strict_mail_server, certificate: tuple[Path, Path]) -> None:
    login = {"smtp_username": "alta", "smtp_password": SecretStr("secret"), "smtp_ca_file": certificate[0]}

    await mailer(strict_mail_server.port, **login).send(a_mail())

    assert strict_mail_server.encrypted == [True]
    assert strict_mail_server.logins == ["alta"]


async def test_a_server_that_we_cannot_recognise_gets_no_password(strict_mail_server) -> None:
    login = {"smtp_username": "alta", "smtp_password": SecretStr("secret")}

    with pytest.raises(MailServerError):
        await mailer(strict_mail_server.port, **login).send(a_mail())

    assert strict_mail_server.logins == []


@pytest.mark.parametrize("starttls", [StartTls.AUTO, StartTls.REQUIRED])
async def test_without_encryption_no_password_is_sent(mail_server, starttls: StartTls) -> None:
    login = {"smtp_username": "alta", "smtp_password": SecretStr("secret")}

    with pytest.raises(MailServerError):
        await mailer(mail_server.port, smtp_starttls=starttls, **login).send(a_mail())

    assert mail_server.mails == []


async def test_a_wrong_password_may_be_mended(strict_mail_server, certificate: tuple[Path, Path]) -> None:
    login = {"smtp_username": "alta", "smtp_password": SecretStr("wrong"), "smtp_ca_file": certificate[0]}

    with pytest.raises(MailServerError):
        await mailer(strict_mail_server.port, **login).send(a_mail())
