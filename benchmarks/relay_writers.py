"""What an event costs the transaction that writes it: the upload of a document, as the projects service records it."""

import asyncio
import statistics
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
from figures import Figure, note
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

    async def rates(self, writers: int, rounds: int, seconds: float, ways: Mapping[str, Writing]) -> dict[str, float]:
        """Return how many transactions a second each way makes, by turns, the median."""
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, writing in ways.items():
                found[name].append(await self._rate(writers, seconds, writing))
            await self._stage.empty()
        note(f"{writers} writers: " + ", ".join(f"{name} {sorted(map(round, rates))}" for name, rates in found.items()))
        return {name: statistics.median(rates) for name, rates in found.items()}

    async def _rate(self, writers: int, seconds: float, writing: Writing) -> float:
        begun = time.perf_counter()
        written = await asyncio.gather(*(self._write(begun + seconds, writing) for _ in range(writers)))
        return sum(written) / (time.perf_counter() - begun)

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
    await stage.superuser.add_listener("alta_outbox", _ignore)
    try:
        async with sessions.begin() as session:
            session.add(project)
        opened = Desk(stage, sessions, wakeup, project.id)
        # Connections, prepared statements, caches.
        await opened.rates(MANY_WRITERS, 1, 1.0, {"warm-up": opened.event_with_wakeup})
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
            rates = await opened.rates(writers, rounds, seconds, {"row": nothing, "event": opened.event})
            yield Figure(f"relay.writing_with_{writers}", rates["event"], "transactions/s", rates["row"])
        ways = {"silent": opened.event, "wakeup": opened.event_with_wakeup, "notify": opened.event_with_notify}
        rates = await opened.rates(MANY_WRITERS, rounds, seconds, ways)
        yield Figure("relay.wakeup_of_writers", rates["wakeup"], "transactions/s", rates["silent"])
        yield Figure("relay.notify_inside_transactions", rates["notify"], "transactions/s", rates["silent"])
