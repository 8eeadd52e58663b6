"""What both ways of operating, HTTP and the command line, are made of."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.audit import AuditTrail
from alta_common.db.engine import create_engine, create_sessions
from alta_common.messaging.undecodable import tolerate_undecodable_properties
from alta_outbox_relay.application.audit import AUDIT_SCHEMA, OperationsAudit
from alta_outbox_relay.application.dead_letter_heads import DeadLetterHeads
from alta_outbox_relay.application.dead_letters import DeadLetterOperations
from alta_outbox_relay.application.outbox import OutboxOperations
from alta_outbox_relay.application.queues import QueueOperations, known_queues
from alta_outbox_relay.broker.counts import QueueCounter
from alta_outbox_relay.broker.management import ManagementApi
from alta_outbox_relay.settings import OperationsSettings


@dataclass(frozen=True, slots=True)
class Operations:
    """The use cases, and what has to be given back."""

    outbox: OutboxOperations
    queues: QueueOperations
    dead_letters: DeadLetterOperations
    engine: AsyncEngine
    counter: QueueCounter
    management: ManagementApi | None

    async def aclose(self) -> None:
        """Give back everything."""
        await self.counter.aclose()
        if self.management is not None:
            await self.management.aclose()
        await self.engine.dispose()


def create_operations(settings: OperationsSettings, name: str) -> Operations:
    """Build it all; nothing connects before it is used. `name` is what PostgreSQL shows for the connections."""
    tolerate_undecodable_properties()
    engine = create_engine(settings, application_name=name)
    sessions = create_sessions(engine)
    audit = OperationsAudit(AuditTrail(AUDIT_SCHEMA))
    url = settings.rabbitmq_url
    counter = QueueCounter(url)
    management = ManagementApi(settings.rabbitmq_management_url, url) if settings.rabbitmq_management_url else None
    return Operations(
        outbox=OutboxOperations(sessions, settings.schemas, audit),
        queues=QueueOperations(counter, management, DeadLetterHeads(url), known_queues()),
        dead_letters=DeadLetterOperations(url, sessions, audit),
        engine=engine,
        counter=counter,
        management=management,
    )
