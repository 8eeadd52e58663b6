"""Looking into outboxes, putting events back in line, taking them out of it."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.clock import to_rfc3339
from alta_common.db.engine import Sessions
from alta_outbox_relay.application.audit import OperationsAudit
from alta_outbox_relay.models.operator import Operator
from alta_outbox_relay.models.outbox_event import (
    EventContent,
    EventNotFoundError,
    EventNotWaitingError,
    EventStatus,
    OutboxEvent,
    OutboxFilter,
)
from alta_outbox_relay.repositories.outbox_line import OutboxLine
from alta_outbox_relay.repositories.outbox_rows import LAST, OutboxRows

REPLAYED_AT_ONCE = 500
COUNTED_AT_MOST = 100_000
SHOWN_FIRST = 10

# How far a page looks for a status that only the view can tell.
_CHUNK = 500
_CHUNKS = 10


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of events, newest first. `positions` (schema → id) is where the next page begins; None after the last."""

    items: list[OutboxEvent]
    positions: dict[str, int] | None


@dataclass(frozen=True, slots=True)
class Replay:
    """What to put back in line: events by id, or those of a filter with an id above `after`, `limit` of them."""

    schema: str
    event_ids: Sequence[UUID] = ()
    wanted: OutboxFilter | None = None
    after: int = 0
    limit: int = REPLAYED_AT_ONCE
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of it. `matched` is counted up to 100,000; `next_after` goes on where this call ended."""

    matched: int
    selected: int
    replayed: int
    already_waiting: int
    first: list[OutboxEvent]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A stretch of one outbox: what was found, and the id below which the search goes on (None: nothing is left)."""

    events: list[OutboxEvent]
    next_before: int | None


class OutboxOperations:
    """Use cases around the outboxes of all schemas."""

    def __init__(self, sessions: Sessions, schemas: Sequence[str], audit: OperationsAudit) -> None:
        self._sessions = sessions
        self._audit = audit
        self.schemas = tuple(schemas)

    async def list_events(
        self, schemas: Sequence[str], wanted: OutboxFilter, positions: Mapping[str, int], limit: int
    ) -> EventPage:
        """Return events of `schemas`, newest first, from the `positions` that the page before gave.

        A schema that is not in them, when there are any, has been read to its end.
        """
        started = {schema: positions.get(schema, 0) if positions else LAST for schema in schemas}
        async with self._sessions() as session:
            stretches = {
                schema: await self._search(OutboxRows(session, schema), wanted, before, limit)
                for schema, before in started.items()
                if before
            }
        merged = heapq.merge(*(stretch.events for stretch in stretches.values()), key=_age, reverse=True)
        items = [event for event, _ in zip(merged, range(limit), strict=False)]
        return EventPage(items, _positions(stretches, items, started) or None)

    async def get(self, event_id: UUID) -> tuple[OutboxEvent, EventContent]:
        """Return an event and what it says. Raises `EventNotFoundError`."""
        async with self._sessions() as session:
            event = await self._find(session, event_id)
            content = await OutboxRows(session, event.schema).content(event.key)
        if content is None:
            raise EventNotFoundError(f"No outbox holds the event {event_id} any more.")
        return event, content

    async def replay(self, operator: Operator, asked: Replay) -> Replayed:
        """Put events back in line, at their old places; relays publish them at once.

        What is COMPLETED is published again (consumers know it by its id), what is FAILED is tried now. Raises
        `EventNotFoundError` when an id is unknown; then nothing was done.
        """
        async with self._sessions.begin() as session:
            rows = OutboxRows(session, asked.schema)
            events, next_after = await (self._filtered(rows, asked) if asked.wanted else self._named(rows, asked))
            matched = len(events)
            if asked.wanted and next_after is not None:
                counted = await rows.count(asked.wanted, after=asked.after, at_most=COUNTED_AT_MOST)
                matched = min(counted, COUNTED_AT_MOST)
            replayed = 0
            if events and not asked.dry_run:
                replayed = await self._put_back(session, asked.schema, events)
                await self._note_replay(session, operator, asked, events, replayed)
        waiting = 0 if asked.dry_run else len(events) - replayed
        return Replayed(matched, len(events), replayed, waiting, events[:SHOWN_FIRST], next_after)

    async def park(self, operator: Operator, event_id: UUID, reason: str) -> OutboxEvent:
        """Take an event out of its line until somebody replays it: the later ones of its aggregate go on.

        Raises `EventNotFoundError`, and `EventNotWaitingError` unless it is PENDING or FAILED.
        """
        async with self._sessions.begin() as session:
            event = await self._find(session, event_id)
            event.refuse_unless_waiting()
            if not await OutboxLine(session, event.schema).park(event, f"parked by {operator}: {reason}"):
                raise EventNotWaitingError("It has left its line meanwhile.")
            rows = OutboxRows(session, event.schema)
            (parked,) = await rows.events([event.key])
            await self._audit.note(
                session,
                operator,
                "outbox.parked",
                subject_type="outbox_event",
                subject_id=event_id,
                schema=event.schema,
                event_type=event.event_type,
                was=event.status.value,
                reason=reason,
            )
        return parked

    async def _find(self, session: AsyncSession, event_id: UUID) -> OutboxEvent:
        for schema in self.schemas:
            rows = OutboxRows(session, schema)
            for event in await rows.events(await rows.locate([event_id])):
                return event
        raise EventNotFoundError(f"No outbox holds an event {event_id}.")

    async def _search(self, rows: OutboxRows, wanted: OutboxFilter, before: int, limit: int) -> _Stretch:
        """Return at least one event more than `limit` if there are so many, else how far it has looked."""
        found: list[OutboxEvent] = []
        chunk = max(limit + 1, _CHUNK if wanted.statuses else 0)
        for _ in range(_CHUNKS):
            keys = await rows.newest(wanted, before=before, limit=chunk)
            found += [event for event in await rows.events(keys) if _has_status(event, wanted)]
            if len(keys) < chunk:
                return _Stretch(found, None)
            before = keys[-1].id
            if len(found) > limit:
                break
        return _Stretch(found, before)

    async def _filtered(self, rows: OutboxRows, asked: Replay) -> tuple[list[OutboxEvent], int | None]:
        assert asked.wanted is not None
        keys = await rows.oldest(asked.wanted, after=asked.after, limit=asked.limit + 1)
        has_more = len(keys) > asked.limit
        keys = keys[: asked.limit]
        events = [event for event in await rows.events(keys) if _has_status(event, asked.wanted)]
        return events, keys[-1].id if has_more else None

    async def _named(self, rows: OutboxRows, asked: Replay) -> tuple[list[OutboxEvent], None]:
        events = await rows.events(await rows.locate(list(dict.fromkeys(asked.event_ids))))
        missing = set(asked.event_ids) - {event.event_id for event in events}
        if missing:
            raise EventNotFoundError(
                f"The outbox of {asked.schema} holds no event {min(map(str, missing))}"
                + (f", nor {len(missing) - 1} others." if len(missing) > 1 else ".")
            )
        return events, None

    async def _put_back(self, session: AsyncSession, schema: str, events: Sequence[OutboxEvent]) -> int:
        line = OutboxLine(session, schema)
        failed = [event for event in events if event.status is EventStatus.FAILED]
        others = [event for event in events if event.status is not EventStatus.FAILED]
        hastened = await line.hasten(failed) if failed else 0
        return hastened + (await line.replay(others) if others else 0)

    async def _note_replay(
        self, session: AsyncSession, operator: Operator, asked: Replay, events: Sequence[OutboxEvent], replayed: int
    ) -> None:
        await self._audit.note(
            session,
            operator,
            "outbox.replayed",
            subject_type="outbox_event",
            subject_id=events[0].event_id if len(events) == 1 else None,
            ids=[event.event_id for event in events],
            schema=asked.schema,
            selected=len(events),
            replayed=replayed,
            filter=_described(asked.wanted) if asked.wanted else None,
        )


def _age(event: OutboxEvent) -> Any:
    return event.created_at


def _has_status(event: OutboxEvent, wanted: OutboxFilter) -> bool:
    return not wanted.statuses or event.status in wanted.statuses


def _positions(
    stretches: Mapping[str, _Stretch], items: Sequence[OutboxEvent], started: Mapping[str, int]
) -> dict[str, int]:
    """Return where each schema goes on: behind the last event that was shown, or where the search has stopped."""
    positions: dict[str, int] = {}
    for schema, stretch in stretches.items():
        shown = [event for event in items if event.schema == schema]
        if len(shown) < len(stretch.events):
            positions[schema] = shown[-1].id if shown else started[schema]
        elif stretch.next_before is not None:
            positions[schema] = stretch.next_before
    return positions


def _described(wanted: OutboxFilter) -> dict[str, Any]:
    said = {
        "status": sorted(status.value for status in wanted.statuses) or None,
        "event_type": wanted.event_type,
        "aggregate_id": str(wanted.aggregate_id) if wanted.aggregate_id else None,
        "created_after": to_rfc3339(wanted.created_after) if wanted.created_after else None,
        "created_before": to_rfc3339(wanted.created_before) if wanted.created_before else None,
    }
    return {name: value for name, value in said.items() if value is not None}
