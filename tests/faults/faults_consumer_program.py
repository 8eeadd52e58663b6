"""A consumer as services have it: ConsumerApp, inbox, and an effect in the database. Run as a process of its own."""

import asyncio
import random
from datetime import timedelta

from pydantic import Field
from sqlalchemy import text

from alta_common.contracts.projects import ProjectCreated
from alta_common.db.engine import Sessions, create_engine, create_sessions
from alta_common.errors import UnavailableError
from alta_common.http.health import InternalServer
from alta_common.inbox import Inbox
from alta_common.messaging.consumers import Consumer, ConsumerApp, Handler, Ordered
from alta_common.messaging.failures import PermanentError
from alta_common.messaging.topology import EMAIL_QUEUE, RetryDelay
from alta_common.process import run, until_stopped
from alta_common.settings import PostgresSettings, RabbitmqSettings, ServiceSettings, load
from alta_common.telemetry.setup import setup_telemetry

SCHEMA = "notifications"
NAME = "faults"
HOPELESS = "hopeless"
NEVER = "never"

# Long enough in all for any server to come back, so that nothing good gives up; it begins quickly.
LADDER = tuple(
    RetryDelay(f"retry.faults.{seconds}s", timedelta(seconds=seconds)) for seconds in (0.5, 1, 2, 4, 8, 15, 30)
)

_PAUSES = tuple(timedelta(seconds=seconds) for seconds in (0.1, 0.3, 1, 2, 4, 8, 15, 30))

_EFFECT = text("INSERT INTO notifications.fault_effect (event_id, aggregate_id, name) VALUES (:id, :aggregate, :name)")


class ProgramSettings(ServiceSettings, PostgresSettings, RabbitmqSettings):
    """What the program reads from the environment."""

    ordered_partitions: int = Field(0, description="Over how many partitions order is kept; 0: it is not.")


class Effects:
    """The handler: some of its work is slow, and some fails at first."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._inbox = Inbox(SCHEMA)

    async def handle(self, event: ProjectCreated) -> None:
        """Have the event's effect, once."""
        if event.name == HOPELESS:
            raise PermanentError("it was made to fail")
        if event.name == NEVER or random.random() < 0.02:
            raise UnavailableError("it is made to be tried again")
        async with self._sessions.begin() as session:
            if not await self._inbox.first_time(session, event.event_id, NAME):
                return
            values = {"id": event.event_id, "aggregate": event.aggregate_id, "name": event.name}
            await session.execute(_EFFECT, values)
            await asyncio.sleep(random.uniform(0, 0.02))


async def main() -> None:
    """Consume until SIGTERM."""
    settings = load(ProgramSettings)
    telemetry = setup_telemetry(settings, NAME)
    engine = create_engine(settings, application_name=NAME)
    effects = Effects(create_sessions(engine))
    partitions = settings.ordered_partitions
    consumer = Consumer(
        EMAIL_QUEUE,
        [Handler(ProjectCreated, effects.handle)],
        prefetch=20,
        time_limit=Ordered.TIME_LIMIT,
        ordered=Ordered(partitions, _PAUSES) if partitions else None,
    )
    app = ConsumerApp(settings.rabbitmq_url, NAME, [consumer], settings.drain_seconds, ladder=LADDER)
    internal = InternalServer(settings.internal_host, settings.internal_port, {"broker": app.check})
    await internal.start()
    try:
        await app.start()
        await until_stopped()
    finally:
        await app.stop()
        await engine.dispose()
        await internal.stop()
        await asyncio.to_thread(telemetry.shutdown)


if __name__ == "__main__":
    run(main())
