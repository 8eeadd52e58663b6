"""Sending mails, one for each event that asks for one."""

import asyncio
from email.headerregistry import Address
from email.message import EmailMessage
from uuid import UUID

import structlog

from alta_common.clock import utc_now
from alta_common.contracts.email import EmailRequested
from alta_common.contracts.event import Event
from alta_common.contracts.identity import UserRegistered
from alta_common.contracts.projects import ProjectCreated
from alta_common.db.engine import Sessions
from alta_common.sealing import Sealer
from alta_notifications.mail.message import message_id_of, new_message
from alta_notifications.mail.smtp import Mailer, MailRefusedError
from alta_notifications.mail.templates import MailTemplates
from alta_notifications.metrics import mails
from alta_notifications.models.delivery import LEASE
from alta_notifications.repositories.deliveries import DeliveryRepository

log = structlog.get_logger()


class MailService:
    """Turns events into mails.

    Twice is once: the event's row in `delivery` is claimed before the mail is handed over and marked sent after. An
    event that comes again finds the mark; two that come at once find the claim. A handler that is cancelled (its
    connection to the broker was lost, its time is up) does not take the two apart: what is being handed over goes on
    to its mark by itself. One window is left, and no protocol closes it: the server has taken the mail and this process
    dies (or loses its database) before the mark. Then the mail goes out again half a minute later, under the same
    Message-ID: at least once there, exactly once elsewhere.
    """

    def __init__(
        self, sessions: Sessions, mailer: Mailer, templates: MailTemplates, sealer: Sealer, sender: Address
    ) -> None:
        self._sessions = sessions
        self._mailer = mailer
        self._templates = templates
        self._sealer = sealer
        self._sender = sender
        self._on_their_way: set[asyncio.Task[None]] = set()

    async def send_requested(self, event: EmailRequested) -> None:
        """Send the mail that a service asks for; what is secret in it is opened only here."""
        sealed = self._sealer.open(event.sealed) if event.sealed else {}
        await self._send(event.event_id, event.template, event.to, {**event.values, **sealed})

    async def welcome(self, event: UserRegistered) -> None:
        """Welcome a new user."""
        await self._send(event.event_id, "welcome", event.email, {"full_name": event.full_name})

    async def tell_project_created(self, event: ProjectCreated) -> None:
        """Tell the owner of a new project, where the event says how to reach them."""
        if event.owner_email is None:
            log.info("mail.not_wanted", event_id=str(event.event_id), template="project_created")
            return
        await self._send(event.event_id, "project_created", event.owner_email, {"project_name": event.name})

    async def give_up(self, event: Event, error: Exception) -> None:
        """Note that an event's mail was tried for the last time; the event lies with the dead letters then."""
        async with self._sessions.begin() as session:
            # Held: it may be on its way all the same, and is then marked as sent by somebody else.
            delivery = await DeliveryRepository(session).find(event.event_id, hold=True)
            if delivery is not None:
                delivery.mark_failed(str(error))

    async def settle(self) -> None:
        """Wait for the mails that are still being handed over, for as long as their claims last."""
        if self._on_their_way:
            await asyncio.wait(self._on_their_way, timeout=LEASE.total_seconds())

    async def _send(self, event_id: UUID, template: str, to: str, values: dict[str, str]) -> None:
        message = new_message(event_id, self._sender, to, self._templates.render(template, values))
        if not await self._claim(event_id, template, to):
            mails.labels(template, "duplicate").inc()
            log.info("mail.sent_before", event_id=str(event_id), template=template)
            return
        handing_over = asyncio.create_task(self._hand_over(event_id, template, message))
        self._on_their_way.add(handing_over)
        handing_over.add_done_callback(self._on_their_way.discard)
        await asyncio.shield(handing_over)

    async def _hand_over(self, event_id: UUID, template: str, message: EmailMessage) -> None:
        try:
            await self._mailer.send(message)
        except MailRefusedError as error:
            # An address that does not exist is an answer, not an accident: nobody need look at a dead letter for it.
            await self._note_refused(event_id, error.detail)
            mails.labels(template, "refused").inc()
            log.warning("mail.refused", event_id=str(event_id), template=template, error=error.detail)
            return
        except Exception as error:
            await self._note_waiting(event_id, str(error))
            raise
        await self._note_sent(event_id)
        mails.labels(template, "sent").inc()
        log.info("mail.sent", event_id=str(event_id), template=template)

    async def _claim(self, event_id: UUID, template: str, to: str) -> bool:
        message_id = message_id_of(event_id, self._sender)
        async with self._sessions.begin() as session:
            deliveries = DeliveryRepository(session)
            delivery = await deliveries.lock_or_create(event_id, template=template, to=to, message_id=message_id)
            return delivery.claim(utc_now())

    async def _note_sent(self, event_id: UUID) -> None:
        async with self._sessions.begin() as session:
            (await DeliveryRepository(session).lock(event_id)).mark_sent(utc_now())

    async def _note_refused(self, event_id: UUID, error: str) -> None:
        async with self._sessions.begin() as session:
            (await DeliveryRepository(session).lock(event_id)).mark_refused(error)

    async def _note_waiting(self, event_id: UUID, error: str) -> None:
        async with self._sessions.begin() as session:
            (await DeliveryRepository(session).lock(event_id)).mark_waiting(error)
