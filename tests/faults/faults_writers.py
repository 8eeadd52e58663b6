"""Writers as services have them: many at once, some slow, some that change their mind."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from random import Random
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.clock import utc_now
from alta_common.contracts.projects import ProjectCreated
from alta_common.db.engine import create_engine, create_sessions
from alta_common.db.lost import CONNECTION_ERRORS
from alta_common.errors import UnavailableError
from alta_common.ids import new_id
from alta_common.outbox import Outbox, OutboxWakeup
from alta_common.testing.postgres import FreshDatabase
from faults_outbox import LATER, SCHEMA

_LOST = (*CONNECTION_ERRORS, SQLAlchemyError, UnavailableError)
_BURST = 300

# The numbers of an aggregate's events are given under the lock of its row, so they say the order of commits. A row
# that another writer holds is left to that one: a slow transaction must not slow all the others.
_NUMBER = text("""
UPDATE projects.fault_aggregate a SET last = a.last + :count
FROM (SELECT id FROM projects.fault_aggregate WHERE id = ANY (:ids) ORDER BY id FOR UPDATE SKIP LOCKED) mine
WHERE a.id = mine.id RETURNING a.id, a.last
""")


class _ChangedItsMindError(Exception):
    """The transaction is to be rolled back."""


class Writers:
    """`count` writers on connections of their own. They write while they are allowed more events than there are."""

    def __init__(self, database: FreshDatabase, aggregates: Sequence[UUID], seed: str, count: int) -> None:
        settings = database.settings(SCHEMA).model_copy(update={"postgres_pool_size": count + 2})
        self._engine: AsyncEngine = create_engine(settings, application_name="fault-writers")
        self._sessions = create_sessions(self._engine)
        self._wakeup = OutboxWakeup(self._engine, SCHEMA)
        self._outbox = Outbox(SCHEMA, self._wakeup)
        self.aggregates = aggregates
        self._rngs = [Random(f"{seed}-writer-{number}") for number in range(count)]
        self._allowed = 0
        self._more = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.written = 0
        """Events that were written as allowed; those of bursts come on top."""
        self.acknowledged: set[UUID] = set()
        """Events whose commit was confirmed. There may be more: a commit whose answer was lost counts too."""

    @property
    def idle(self) -> bool:
        """Say whether all that was allowed is written."""
        return self.written >= self._allowed

    def start(self) -> None:
        """Begin."""
        self._tasks = [asyncio.ensure_future(self._write(rng)) for rng in self._rngs]

    def allow(self, events: int) -> None:
        """Let there be this many events."""
        self._allowed = events
        self._more.set()

    def check(self) -> None:
        """Raise what ended a writer."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def stop(self) -> None:
        """Stop, in the middle of transactions if need be."""
        ending = set(self._tasks)
        while ending:
            # Asked again until it has ended: a driver that is just losing its connection may swallow a cancellation.
            for task in ending:
                task.cancel()
            _, ending = await asyncio.wait(ending, timeout=1)
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._wakeup.aclose()
        await self._engine.dispose()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def burst(self, rng: Random, each: int = 1) -> None:
        """Commit many events at once: whatever happens next, the relays have work in hand."""
        chosen = rng.sample(self.aggregates, min(_BURST, len(self.aggregates)))
        with suppress(*_LOST):
            await self._transact(chosen, each, pause=0, ends_well=True)

    async def _write(self, rng: Random) -> None:
        while True:
            while self.idle:
                self._more.clear()
                await self._more.wait()
            chosen = rng.sample(self.aggregates, rng.randint(1, 8))
            pause = rng.choices([0, rng.uniform(0, 0.3), rng.uniform(0.5, 3)], [80, 17, 3])[0]
            later = rng.choices([None, timedelta(seconds=rng.uniform(0.5, 2))], [90, 10])[0]
            count, ends_well = rng.randint(1, 3), rng.random() > 0.1
            try:
                events = await self._transact(chosen, count, pause=pause, ends_well=ends_well, later=later)
                self.written += events
            except _ChangedItsMindError:
                continue
            except _LOST:
                await asyncio.sleep(0.1)

    async def _transact(
        self, chosen: Sequence[UUID], count: int, *, pause: float, ends_well: bool, later: timedelta | None = None
    ) -> int:
        """Write `count` events for each of the chosen aggregates, half of them after a pause; return how many.

        With `later` also one for each that is to go out that much later.
        """
        async with self._sessions.begin() as session:
            rows = (await session.execute(_NUMBER, {"ids": list(chosen), "count": count})).all()
            events = [
                ProjectCreated(project_id=row.id, name=str(row.last - count + number), created_by=new_id())
                for number in range(1, count + 1)
                for row in rows
            ]
            await self._outbox.add(session, *events[: len(events) // 2])
            if pause:
                await asyncio.sleep(pause)
            await self._outbox.add(session, *events[len(events) // 2 :])
            # Last, so that it is committed before its time comes.
            scheduled: list[ProjectCreated] = []
            if later is not None:
                scheduled = [ProjectCreated(project_id=row.id, name=LATER, created_by=new_id()) for row in rows]
                await self._outbox.add(session, *scheduled, deliver_at=utc_now() + later)
            if not ends_well:
                raise _ChangedItsMindError
        self.acknowledged.update(event.event_id for event in (*events, *scheduled))
        return len(events)
