import asyncio
from datetime import timedelta
from email.headerregistry import Address

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text, update

from alta_common.clock import utc_now
from alta_common.contracts.event import Event
from alta_common.contracts.identity import IdentityEmailRequested, UserRegistered
from alta_common.contracts.projects import ProjectCreated, ProjectsEmailRequested
from alta_common.db.engine import Sessions
from alta_common.errors import InvalidError, UnavailableError
from alta_common.ids import new_id
from alta_common.sealing import Sealer
from alta_common.testing import eventually
from alta_notifications.application.mailing import MailService
from alta_notifications.application.retention import Retention
from alta_notifications.mail.smtp import MailServerError, SmtpMailer
from alta_notifications.mail.templates import MailTemplates
from alta_notifications.models.delivery import Delivery, DeliveryBusyError, DeliveryStatus, recipient_hash
from alta_notifications.repositories.deliveries import DeliveryRepository
from alta_notifications.settings import SmtpSettings

SEALER = Sealer([Fernet.generate_key().decode()])


@pytest.fixture
def mailing(sessions: Sessions, mail_server) -> MailService:
    mailer = SmtpMailer(SmtpSettings(smtp_host="127.0.0.1", smtp_port=mail_server.port))
    templates = MailTemplates("https://alta.example")
    return MailService(sessions, mailer, templates, SEALER, Address("Alta", addr_spec="no-reply@alta.example"))


def a_verification(token: str = "t0ken", to: str = "ada@example.org") -> IdentityEmailRequested:
    return IdentityEmailRequested(
        email_id=new_id(),
        template="verify_email",
        to=to,
        values={"full_name": "Ada"},
        sealed=SEALER.seal({"token": token}),
    )


async def delivery_of(sessions: Sessions, event: Event) -> Delivery | None:
    async with sessions() as session:
        return await DeliveryRepository(session).find(event.event_id)


async def test_the_verification_mail_holds_the_sealed_token(mailing: MailService, mail_server, sessions) -> None:
    event = a_verification("wJk9-_")

    await mailing.send_requested(event)

    (mail,) = mail_server.mails
    text = mail.get_body(("plain",)).get_content()
    assert str(mail["To"]) == "ada@example.org"
    assert "https://alta.example/verify-email#token=wJk9-_" in text.splitlines()
    assert "wJk9-_" in text.splitlines()
    delivery = await delivery_of(sessions, event)
    assert delivery is not None
    assert (delivery.status, delivery.attempts, delivery.message_id) == ("sent", 1, str(mail["Message-ID"]))
    assert delivery.recipient_hash == recipient_hash("ada@example.org")
    assert delivery.sent_at is not None


async def test_an_event_that_comes_twice_is_one_mail(mailing: MailService, mail_server) -> None:
    event = a_verification()

    await mailing.send_requested(event)
    await mailing.send_requested(event)

    assert len(mail_server.mails) == 1


async def test_an_event_that_comes_twice_at_once_is_one_mail(mailing: MailService, mail_server) -> None:
    event = a_verification()
    mail_server.gate.clear()
    first = asyncio.create_task(mailing.send_requested(event))
    await eventually(lambda: mail_server.waiting == 1)

    with pytest.raises(DeliveryBusyError):
        await mailing.send_requested(event)
    mail_server.gate.set()
    await first

    assert len(mail_server.mails) == 1


async def test_a_mail_whose_handler_is_cancelled_goes_out_once(
    mailing: MailService, mail_server, sessions: Sessions
) -> None:
    event = a_verification()
    mail_server.gate.clear()
    handling = asyncio.create_task(mailing.send_requested(event))
    await eventually(lambda: mail_server.waiting == 1)

    # As the client library does to all handlers when the connection to the broker is lost.
    handling.cancel()
    await asyncio.gather(handling, return_exceptions=True)
    with pytest.raises(DeliveryBusyError):
        await mailing.send_requested(event)
    mail_server.gate.set()
    await mailing.settle()
    await mailing.send_requested(event)

    assert len(mail_server.mails) == 1
    delivery = await delivery_of(sessions, event)
    assert delivery is not None
    assert (delivery.status, delivery.attempts) == ("sent", 1)


async def test_a_sender_that_died_is_followed_by_another_under_the_same_message_id(
    mailing: MailService, mail_server, sessions: Sessions
) -> None:
    event = a_verification()
    await mailing.send_requested(event)
    # What a process leaves that dies between the server's answer and the mark.
    async with sessions.begin() as session:
        left = {"status": DeliveryStatus.SENDING, "sent_at": None, "lease_until": utc_now() + timedelta(minutes=1)}
        await session.execute(update(Delivery).values(left))
    with pytest.raises(DeliveryBusyError):
        await mailing.send_requested(event)

    async with sessions.begin() as session:
        await session.execute(update(Delivery).values(lease_until=utc_now()))
    await mailing.send_requested(event)

    assert mail_server.message_ids == [f"<{event.event_id}@alta.example>"] * 2
    delivery = await delivery_of(sessions, event)
    assert delivery is not None
    assert (delivery.status, delivery.attempts) == ("sent", 2)


async def test_a_server_that_is_busy_is_tried_again(mailing: MailService, mail_server, sessions: Sessions) -> None:
    event = a_verification()
    mail_server.data_answers = ["451 try later"]

    with pytest.raises(MailServerError):
        await mailing.send_requested(event)
    waiting = await delivery_of(sessions, event)
    await mailing.send_requested(event)

    assert waiting is not None
    assert waiting.status == DeliveryStatus.WAITING
    assert waiting.last_error is not None
    assert "451" in waiting.last_error
    assert len(mail_server.mails) == 1


async def test_a_refused_address_is_noted_and_not_tried_again(
    mailing: MailService, mail_server, sessions: Sessions
) -> None:
    event = a_verification()
    mail_server.recipient_answers = ["550 no such user"]

    await mailing.send_requested(event)
    await mailing.send_requested(event)

    delivery = await delivery_of(sessions, event)
    assert delivery is not None
    assert (delivery.status, delivery.last_error, delivery.attempts) == ("refused", "550 no such user", 1)
    assert mail_server.mails == []


async def test_giving_up_is_noted_and_a_replay_may_still_succeed(
    mailing: MailService, mail_server, sessions: Sessions
) -> None:
    event = a_verification()
    mail_server.data_answers = ["451 try later"]
    with pytest.raises(UnavailableError):
        await mailing.send_requested(event)

    await mailing.give_up(event, UnavailableError("tried for the last time"))
    given_up = await delivery_of(sessions, event)
    await mailing.send_requested(event)

    assert given_up is not None
    assert given_up.status == DeliveryStatus.FAILED
    assert len(mail_server.mails) == 1


async def test_a_mail_that_is_marked_as_sent_while_it_is_given_up_stays_sent(
    mailing: MailService, sessions: Sessions
) -> None:
    event = a_verification()
    async with sessions.begin() as session:
        deliveries = DeliveryRepository(session)
        await deliveries.lock_or_create(event.event_id, template=event.template, to=event.to, message_id="<a@b>")

    async with sessions.begin() as session:
        (await DeliveryRepository(session).lock(event.event_id)).mark_sent(utc_now())
        giving_up = asyncio.create_task(mailing.give_up(event, DeliveryBusyError("it is being sent")))
        await eventually(lambda: somebody_waits(sessions))
    await giving_up

    delivery = await delivery_of(sessions, event)
    assert delivery is not None
    assert delivery.status == DeliveryStatus.SENT


async def somebody_waits(sessions: Sessions) -> bool:
    """Say whether a transaction waits for what another one holds."""
    async with sessions() as session:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(await session.scalar(text(waiting)))


@pytest.mark.parametrize(
    "event",
    [
        a_verification(to="ada@example.org\r\nBcc: victim@example.org"),
        a_verification().model_copy(update={"sealed": "nonsense"}),
        a_verification().model_copy(update={"sealed": None}),
        a_verification().model_copy(update={"template": "nothing"}),
    ],
    ids=["header injection", "not sealed by us", "no token", "no such mail"],
)
async def test_what_cannot_be_written_is_refused_at_once(
    mailing: MailService, mail_server, event: IdentityEmailRequested
) -> None:
    with pytest.raises(InvalidError):
        await mailing.send_requested(event)
    await mailing.give_up(event, InvalidError("no"))

    assert mail_server.mails == []


async def test_users_are_welcomed_and_owners_told(mailing: MailService, mail_server) -> None:
    await mailing.welcome(UserRegistered(user_id=new_id(), email="ada@example.org", full_name="Ada"))
    created = {"project_id": new_id(), "created_by": new_id()}
    await mailing.tell_project_created(ProjectCreated(name="Letters", owner_email="ada@example.org", **created))
    await mailing.tell_project_created(ProjectCreated(name="Silent", **created))
    await mailing.send_requested(
        ProjectsEmailRequested(
            email_id=new_id(),
            template="project_invitation",
            to="bob@example.org",
            values={"project_name": "Letters", "role": "viewer", "inviter_name": "Ada", "link": "https://alta.example"},
        )
    )

    assert [str(mail["Subject"]) for mail in mail_server.mails] == [
        "Welcome to Alta Data",
        "Letters is ready",
        "Ada invites you to Letters",
    ]


async def test_old_deliveries_are_forgotten(mailing: MailService, sessions: Sessions) -> None:
    event = a_verification()
    await mailing.send_requested(event)

    await Retention(sessions, timedelta(days=90)).forget()
    assert await delivery_of(sessions, event) is not None
    await Retention(sessions, timedelta(seconds=0)).forget()

    assert await delivery_of(sessions, event) is None


async def test_one_replica_forgets_and_the_others_pass(mailing: MailService, sessions: Sessions) -> None:
    event = a_verification()
    await mailing.send_requested(event)

    async with sessions.begin() as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('notifications.retention'))"))
        await Retention(sessions, timedelta(seconds=0)).forget()
        assert await delivery_of(sessions, event) is not None
    await Retention(sessions, timedelta(seconds=0)).forget()

    assert await delivery_of(sessions, event) is None
