"""What an event costs the transaction that writes it: the upload of a document, as the projects service records it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeAlias
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.clock import utc_now
from alta_common.db.engine import Sessions, create_engine, create_sessions
from alta_common.ids import new_id
from alta_common.outbox import Outbox, OutboxWakeup
from alta_projects.models.document import Document
from alta_projects.models.original import Original
from alta_projects.models.project import Project
from alta_projects.models.reading import Reading, Wishes
from alta_projects.repositories.items import ItemRepository
from figures import Cost, Figure, median_of, note, own_cpu_seconds
from relay_stage import SCHEMA, Stage

WRITERS = (1, 8, 16)
MANY_WRITERS = 32
_NOTIFY = text("SELECT pg_notify('alta_outbox', 'projects')")

Writing: TypeAlias = Callable[[AsyncSession, Document], Awaitable[None]]
"""What is done in the transaction, beside the row."""


async def nothing(_session: AsyncSession, _document: Document) -> None:
    """Leave it at the row."""


class Desk:
    """Writes documents of one project with any number of writers at once."""

    def __init__(self, stage: Stage, sessions: Sessions, wakeup: OutboxWakeup, project_id: UUID) -> None:
        self._stage = stage
        self._sessions = sessions
        self._project_id = project_id
        self._silent = Outbox(SCHEMA)
        self._waking = Outbox(SCHEMA, wakeup)

    async def event(self, session: AsyncSession, document: Document) -> None:
        """Write the event, and leave it to the relay to look."""
        await self._silent.add(session, document.request())

    async def event_with_wakeup(self, session: AsyncSession, document: Document) -> None:
        """Write the event as services do."""
        await self._waking.add(session, document.request())

    async def event_with_notify(self, session: AsyncSession, document: Document) -> None:
        """Write the event, and NOTIFY in the same transaction."""
        await self.event(session, document)
        await session.execute(_NOTIFY)

    async def costs(self, writers: int, rounds: int, seconds: float, ways: Mapping[str, Writing]) -> dict[str, Cost]:
        """Return what a transaction takes in each way, by turns, the medians; seconds are those of all writers."""
        found: dict[str, list[Cost]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, writing in ways.items():
                found[name].append(await self._cost(writers, seconds, writing))
        rates = {name: sorted(round(1 / cost.seconds) for cost in costs) for name, costs in found.items()}
        note(f"{writers} writers, transactions/s: " + ", ".join(f"{name} {several}" for name, several in rates.items()))
        return {name: median_of(costs) for name, costs in found.items()}

    async def _cost(self, writers: int, seconds: float, writing: Writing) -> Cost:
        begun, spent = time.perf_counter(), self._cpu_seconds()
        written = sum(await asyncio.gather(*(self._write(begun + seconds, writing) for _ in range(writers))))
        return Cost((time.perf_counter() - begun) / written, (self._cpu_seconds() - spent) / written)

    def _cpu_seconds(self) -> float:
        return own_cpu_seconds() + self._stage.cpu_seconds()["postgres"]

    async def _write(self, until: float, writing: Writing) -> int:
        written = 0
        while time.perf_counter() < until:
            document = self._document()
            async with self._sessions.begin() as session:
                await ItemRepository(session, Document).add(document)
                await writing(session, document)
            written += 1
        return written

    def _document(self) -> Document:
        document_id = new_id()
        original = Original(
            f"Letter of {document_id}.pdf", "application/pdf", 123_456, document_id.hex * 2, {"box": "12"}
        )
        reading = Reading(None, None, utc_now() + timedelta(hours=6))
        return Document.queued(
            document_id, self._project_id, original, Wishes(), reading, is_copy=False, created_by=self._project_id
        )


@asynccontextmanager
async def desk(stage: Stage) -> AsyncIterator[Desk]:
    """Open a desk, with a listener as the relay is one."""
    settings = stage.database.settings(SCHEMA).model_copy(update={"postgres_pool_size": MANY_WRITERS})
    engine = create_engine(settings, application_name="benchmark")
    sessions, wakeup = create_sessions(engine), OutboxWakeup(engine, SCHEMA)
    project = Project.new("Letters", None, {}, new_id())
    await stage.empty()
    await stage.superuser.add_listener("alta_outbox", _ignore)
    try:
        async with sessions.begin() as session:
            session.add(project)
        opened = Desk(stage, sessions, wakeup, project.id)
        # Connections, prepared statements, caches; emptied tables would make all of it necessary again.
        await opened.costs(MANY_WRITERS, 1, 1.0, {"warm-up": opened.event_with_wakeup})
        yield opened
    finally:
        await stage.superuser.remove_listener("alta_outbox", _ignore)
        await wakeup.aclose()
        await engine.dispose()


def _ignore(*_notification: object) -> None:
    """Hear it."""


async def overhead(stage: Stage, rounds: int, seconds: float) -> AsyncIterator[Figure]:
    """Measure transactions with row and event beside those with the row alone, and the wake-up beside both."""
    async with desk(stage) as opened:
        for writers in WRITERS:
            row, event = (
                await opened.costs(writers, rounds, seconds, {"row": nothing, "event": opened.event})
            ).values()
            yield Figure(f"relay.writing_with_{writers}", 1 / event.seconds, "transactions/s", 1 / row.seconds)
        yield Figure("relay.cpu_of_writing", 1e6 * event.cpu_seconds, "CPU us/transaction", 1e6 * row.cpu_seconds)
        ways = {"silent": opened.event, "wakeup": opened.event_with_wakeup, "notify": opened.event_with_notify}
        silent, wakeup, notify = (await opened.costs(MANY_WRITERS, rounds, seconds, ways)).values()
        yield Figure("relay.wakeup_of_writers", 1 / wakeup.seconds, "transactions/s", 1 / silent.seconds)
        yield Figure("relay.notify_inside_transactions", 1 / notify.seconds, "transactions/s", 1 / silent.seconds)
